const KIB = 1024;
const DAY_MS = 24 * 60 * 60 * 1_000;

/** What one HTTP request may hold, and the bounds of every setting. */
export const API_LIMITS = {
  /** Bytes of a JSON body, imports apart. */
  bodyBytesMax: 1024 * KIB,
  /** How deep the JSON of a body, or a task's data, may nest. */
  jsonDepthMax: 64,
  /** Bytes of one task in an import: a line of NDJSON, an element of the array, a record of the CSV. */
  taskBytesMax: 1024 * KIB,
  /** Columns of a CSV. */
  csvColumnsMax: 1_000,
  /** Rejected tasks that an import's answer lists; `rejectedCount` counts them all. */
  rejectedListMax: 1_000,
  /** Items of one page. */
  pageMax: 1_000,
  pageDefault: 100,
  slugLengthMax: 63,
  nameLengthMax: 200,
  externalIdLengthMax: 200,
  reasonLengthMax: 500,
  /** Bytes of `interface` and of `resultSchema`, as compact JSON. */
  settingsJsonBytesMax: 256 * KIB,
  /** Conditions in one `requirements`, at every depth together. */
  requirementsMax: 50,
  requirementsDepthMax: 8,
  skillNameLengthMax: 100,
  skillsMax: 200,
  capacityMax: 100,
  overlapMax: 100,
  priorityMax: 32_000,
  heartbeatMs: { min: 200, max: 3_600_000 },
  reconnectGraceMs: { min: 0, max: 600_000 },
  maxDurationMs: { min: 200, max: 7 * DAY_MS },
  offerMs: { min: 0, max: 600_000 },
  maxAttemptsMax: 1_000,
  projectPriorityMax: 1_000,
  weight: { min: 0.01, max: 1_000 },
  shardsMax: 64,
  /** Annotators that one request adds to a project. */
  membersPerRequestMax: 1_000,
  /** How long a read of the event feed may wait for news. */
  waitMsMax: 30_000,
} as const;
