import type { WireError } from '../../protocol/errors.ts';
import { ANNOTATOR_NAMESPACE } from '../../protocol/wire/index.ts';
import type { AnnotatorSocket } from './outbox.ts';

/**
 * Tells a connection that has joined nothing yet why it is closed, and closes it. A refused handshake would cost less, but
 * a browser cannot read why: thousands who were refused together would try again together.
 */
export function turnAway(connection: AnnotatorSocket['conn'], error: WireError): void {
  // Socket.IO's answer to a join (its packet type 4) before it was asked for: clients take it as any other refusal.
  connection.send(`4${ANNOTATOR_NAMESPACE},${JSON.stringify({ message: error.message, data: error })}`);
  connection.close();
}
