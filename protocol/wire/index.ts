export * from './answers.ts';
export * from './events.ts';
export { inspectJson, isPlainObject, isStorableText, type JsonInspection, type JsonValue } from './json.ts';
export { CLIENT_MESSAGES, type ClientEvent, type ClientMessages, isClientEvent } from './messages.ts';
export * from './pushes.ts';
export { type Reading, readMessage } from './read.ts';
