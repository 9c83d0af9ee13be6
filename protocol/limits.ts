const KIB = 1024;

/**
 * What one message may hold. A message within `messageBytesMax` that breaks another limit is answered with a typed
 * error; one beyond it closes the connection, because it is not read at all.
 */
export const WIRE_LIMITS = {
  /** Bytes of one WebSocket message. */
  messageBytesMax: 1024 * KIB,
  /** Bytes of a result, as compact JSON in UTF-8. */
  resultBytesMax: 256 * KIB,
  /** Bytes of a draft, as compact JSON in UTF-8. */
  draftBytesMax: 256 * KIB,
  /** How deep arrays and objects may nest in a result or a draft. */
  jsonDepthMax: 64,
  /** Characters of `requestId` and `submissionId`. */
  clientIdLengthMax: 100,
  /** Characters of a project's slug. */
  slugLengthMax: 100,
  /** Projects that one request may name. */
  projectsMax: 100,
  /** Assignments that one heartbeat may name. */
  heartbeatAssignmentsMax: 100,
  /** Characters of a skip's reason. */
  reasonLengthMax: 500,
  /** Characters of a token in the handshake. */
  tokenLengthMax: 512,
  /** Entries of an error's `details`. */
  errorDetailsMax: 20,
} as const;
