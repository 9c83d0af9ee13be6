/** Branded ids: a task id given where an annotator id is due does not compile. All are positive safe integers. */
declare const brand: unique symbol;
type Id<Name extends string> = number & { readonly [brand]: Name };

export type ProjectId = Id<'project'>;
export type ShardId = Id<'shard'>;
export type TaskId = Id<'task'>;
export type AssignmentId = Id<'assignment'>;
export type AnnotatorId = Id<'annotator'>;
/** One life of an engine process: a restarted process is a new incarnation. */
export type Incarnation = Id<'incarnation'>;

/** The one place where a plain number becomes an id; the type parameter says which. */
export function asId<T extends Id<string>>(value: number): T {
  if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`not an id: ${value}`);
  return value as T;
}

/**
 * An assignment as clients name it: `<project>-<number>`. It is the lease token. The project in front lets any
 * gateway find the shard without a look-up.
 */
export interface AssignmentRef {
  readonly projectId: ProjectId;
  readonly id: AssignmentId;
}

export function formatAssignmentRef(ref: AssignmentRef): string {
  return `${ref.projectId}-${ref.id}`;
}

/** @returns the reference, or undefined when the text is not one (a stranger's typo is not an exception). */
export function parseAssignmentRef(text: string): AssignmentRef | undefined {
  const match = /^([1-9]\d{0,9})-([1-9]\d{0,14})$/.exec(text);
  if (!match) return undefined;
  return { projectId: asId<ProjectId>(Number(match[1])), id: asId<AssignmentId>(Number(match[2])) };
}
