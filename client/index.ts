export type { WireErrorDetail } from '../protocol/errors.ts';
export type {
  JsonValue,
  WireAssignment as Assignment,
  WireReceipt as Receipt,
  WireWaiting as Waiting,
  WireWork as Work,
} from '../protocol/wire/index.ts';
export { BatonError } from './baton-error.ts';
export { BatonClient, connect } from './client.ts';
export type { LinkStatus } from './link.ts';
export type { BatonClientEvents, BatonClientOptions, Traffic } from './options.ts';
export type { Surroundings } from './surroundings.ts';
