import type { Ack } from './answers.ts';
import type { ClientEvent, ClientMessages } from './messages.ts';
import type { ServerPushes } from './pushes.ts';

/** The namespace for labeling clients. */
export const ANNOTATOR_NAMESPACE = '/annotator';

/** For `Socket<..>` of socket.io and socket.io-client: what clients emit. */
export type ClientToServerEvents = {
  [Event in ClientEvent]: (message: ClientMessages[Event], ack: (answer: Ack<Event>) => void) => void;
};

/** For `Socket<..>` of socket.io and socket.io-client: what servers emit. */
export type ServerToClientEvents = {
  [Event in keyof ServerPushes]: (message: ServerPushes[Event]) => void;
};

/** What a client gives when it connects, in Socket.IO's `auth`. */
export interface HandshakeAuth {
  token: string;
}
