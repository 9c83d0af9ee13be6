import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { AnnotatorId } from '../engine/ids.ts';
import { ASSIGNMENT_STATE_CODES, TASK_STATE_CODES, TRANSITION_CODES } from '../engine/store/codes.ts';
import { COMMIT_SESSION } from '../engine/store/postgres/commit-sql.ts';
import type { Window } from './crowd.ts';
import { type BenchProject, RESULT } from './population.ts';

const { active, submitted } = ASSIGNMENT_STATE_CODES;
const DETAIL = '"{\\"slot\\":0,\\"attempt\\":1}"';
const RESULT_ELEMENT = `"${JSON.stringify(RESULT).replaceAll('"', '\\"')}"`;

/**
 * One batch of cycles in one statement, which is one transaction and one round trip: whoever writes these rows by hand
 * does not get below this. $1-$4 are the cycle that ends (assignment, task, annotator, submission), $5-$8 the one that
 * begins, $9 the result, $10 the detail of the assigned transition, $11 shard, $12 project, $13 first sequence number.
 */
const FLOOR_SQL = `
  with counted as (
    update shards set last_seq = last_seq + 2 * cardinality($1::bigint[]),
      submitted = submitted + cardinality($1::bigint[]), waiting = waiting - cardinality($1::bigint[]),
      complete = complete + cardinality($1::bigint[])
    where id = $11::int
  ), ended as (
    update assignments a set state = ${submitted}, ended_at = now()
    from unnest($1::bigint[]) as v (id) where a.project_id = $12::int and a.id = v.id
  ), filled as (
    update tasks t set state = ${TASK_STATE_CODES.complete}, filled = 1, filled_slots = '{0}', had = array[v.annotator_id],
      updated_at = now()
    from unnest($2::bigint[], $3::int[]) as v (id, annotator_id) where t.project_id = $12::int and t.id = v.id
  ), annotated as (
    insert into annotations (project_id, assignment_id, task_id, annotator_id, counted, submission_id, result, lead_time_ms)
    select $12::int, assignment_id, task_id, annotator_id, true, submission_id, result::jsonb, 20
    from unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $9::text[])
      as v (assignment_id, task_id, annotator_id, submission_id, result)
  ), leased as (
    insert into assignments (id, project_id, shard_id, task_id, annotator_id, slot, capacity_slot, attempt, state,
      request_id, started_at, deadline_at)
    select id, $12::int, $11::int, task_id, annotator_id, 0, 0, 1, ${active}, request_id, now(), now() + interval '1 hour'
    from unnest($5::bigint[], $6::bigint[], $7::int[], $8::text[]) as v (id, task_id, annotator_id, request_id)
  )
  insert into transitions (shard_id, seq, project_id, task_id, assignment_id, annotator_id, event, task_state,
    assignment_state, detail)
  select $11::int, $13::bigint + 2 * (no - 1) + step, $12::int, task_id, assignment_id, annotator_id, event, task_state, state, detail::jsonb
  from (
    select no, 0 as step, task_id, assignment_id, annotator_id, ${TRANSITION_CODES.submitted}::smallint as event,
      ${TASK_STATE_CODES.complete}::smallint as task_state, ${submitted}::smallint as state, null as detail
    from unnest($2::bigint[], $1::bigint[], $3::int[]) with ordinality as v (task_id, assignment_id, annotator_id, no)
    union all
    select no, 1, task_id, assignment_id, annotator_id, ${TRANSITION_CODES.assigned}, ${TASK_STATE_CODES.waiting}, ${active}, detail
    from unnest($6::bigint[], $5::bigint[], $7::int[], $10::text[]) with ordinality as v (task_id, assignment_id, annotator_id, detail, no)
  ) as rows order by no, step`;

interface FloorLease {
  readonly assignmentId: number;
  readonly taskId: number;
  readonly annotatorId: AnnotatorId;
}

/**
 * The floor: the rows of lease and submit, into the same tables, indexes and constraints, with nobody deciding
 * anything. No picking, no fence, no checks, no task data read, one commit in flight. Batches are as large as it is told.
 */
export class Floor {
  readonly #client: pg.Client;
  readonly #project: BenchProject;
  readonly #open: FloorLease[] = [];
  readonly #idle: AnnotatorId[];
  #nextTask: number;
  #nextAssignment: number;
  #nextSeq = 1;

  private constructor(
    client: pg.Client,
    args: { project: BenchProject; annotatorIds: readonly AnnotatorId[]; firstTask: number },
  ) {
    this.#client = client;
    this.#project = args.project;
    this.#idle = [...args.annotatorIds];
    this.#nextTask = args.firstTask;
    this.#nextAssignment = 1;
  }

  /** @param args.annotatorIds twice as many as the largest batch: half of them hold a lease at any time. */
  static async open(
    url: string,
    args: { project: BenchProject; annotatorIds: readonly AnnotatorId[]; firstTask: number },
  ): Promise<Floor> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(COMMIT_SESSION);
    const floor = new Floor(client, args);
    await floor.#write([], floor.#leases(args.annotatorIds.length / 2));
    return floor;
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  /** Commits batches of these sizes, over and over, until `durationMs` have passed. */
  async workFor(durationMs: number, batchSizes: readonly number[]): Promise<Window> {
    const startedMs = performance.now();
    const commitMs: number[] = [];
    let cycles = 0;
    for (let i = 0; performance.now() - startedMs < durationMs; i += 1) {
      const size = batchSizes[i % batchSizes.length] ?? 1;
      const sentMs = performance.now();
      await this.#commit(size);
      commitMs.push(performance.now() - sentMs);
      cycles += size;
    }
    return { cycles, elapsedMs: performance.now() - startedMs, cycleMs: commitMs };
  }

  async #commit(size: number): Promise<void> {
    const ended = this.#open.splice(0, size);
    // Whoever ends a lease here begins the next one in a later batch: one statement may not free a place and take it.
    await this.#write(ended, this.#leases(ended.length));
    for (const lease of ended) this.#idle.push(lease.annotatorId);
  }

  #leases(count: number): FloorLease[] {
    return this.#idle.splice(0, count).map((annotatorId) => ({
      assignmentId: this.#nextAssignment++,
      taskId: this.#nextTask++,
      annotatorId,
    }));
  }

  async #write(ended: readonly FloorLease[], begun: readonly FloorLease[]): Promise<void> {
    const seq = this.#nextSeq;
    this.#nextSeq += 2 * Math.max(ended.length, begun.length);
    const { shardId, projectId } = this.#project;
    await this.#client.query({
      name: 'floor',
      text: FLOOR_SQL,
      values: [
        ...columnsOf(ended),
        ...columnsOf(begun),
        `{${ended.map(() => RESULT_ELEMENT).join()}}`,
        `{${begun.map(() => DETAIL).join()}}`,
        shardId,
        projectId,
        seq,
      ],
    });
    this.#open.push(...begun);
  }
}

function columnsOf(leases: readonly FloorLease[]): string[] {
  return [
    `{${leases.map((lease) => lease.assignmentId).join()}}`,
    `{${leases.map((lease) => lease.taskId).join()}}`,
    `{${leases.map((lease) => lease.annotatorId).join()}}`,
    `{${leases.map(() => randomUUID()).join()}}`,
  ];
}
