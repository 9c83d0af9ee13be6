import { readFileSync } from 'node:fs';
import pg from 'pg';
import type { AnnotationRow, AssignmentRow, Rows, TaskRow, TransitionRow } from '../../engine/invariants.ts';

/** Times are milliseconds of the wall clock. */
export interface ChaosRows extends Rows {
  readonly projects: readonly ProjectRow[];
  readonly tasks: readonly (TaskRow & { project_id: number; external_id: string | null })[];
  readonly assignments: readonly (AssignmentRow & {
    project_id: number;
    request_id: string | null;
    deadline_ms: number;
  })[];
  readonly annotations: readonly (AnnotationRow & {
    project_id: number;
    submission_id: string;
    result: unknown;
  })[];
  readonly transitions: readonly TimedTransition[];
  readonly drafts: readonly {
    task_id: number;
    annotator_id: number;
    assignment_id: number;
    draft: unknown;
  }[];
  /** Empty where the database has no probes. */
  readonly commits: readonly CommitRow[];
  readonly owners: readonly { shard_id: number; owner: number | null; epoch: number; at_ms: number }[];
  readonly nodes: readonly { incarnation: number; name: string; roles: string }[];
  /** When they were read. */
  readonly readAtMs: number;
}

export interface ProjectRow {
  readonly id: number;
  readonly slug: string;
  readonly settings: { readonly reconnectGraceMs?: number; readonly heartbeatMs?: number };
}

export type TimedTransition = TransitionRow & {
  project_id: number;
  /** When its transaction began. */
  at_ms: number;
  /** When it was committed; null where Postgres does not keep that (`track_commit_timestamp`). */
  committed_ms: number | null;
};

/** A commit that was done: who did it under which epoch, and what the shard's row said at that moment. */
export interface CommitRow {
  readonly shard_id: number;
  readonly incarnation: number;
  readonly epoch: number;
  readonly from_seq: number;
  readonly row_owner: number | null;
  readonly row_epoch: number;
  readonly row_seq: number;
  readonly at_ms: number;
}

const INT8 = 20;

/** Reads all that the checker looks at. @throws when the database does not answer. */
export async function readRows(databaseUrl: string): Promise<ChaosRows> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    types: {
      // All of ours are far below 2^53.
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === INT8 ? Number : pg.types.getTypeParser(oid, format ?? 'text'),
    },
  });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    return await readAll(client);
  } finally {
    await client.end();
  }
}

/** Rows that an earlier campaign kept. */
export function readRowsFile(path: string): ChaosRows {
  const kept: Omit<ChaosRows, 'capacities' | 'unannounced'> & {
    capacities: [number, number][];
    unannounced: [number, number][];
  } = JSON.parse(readFileSync(path, 'utf8'));
  return { ...kept, capacities: new Map(kept.capacities), unannounced: new Map(kept.unannounced) };
}

/** As text for `readRowsFile`. */
export function rowsText(rows: ChaosRows): string {
  return JSON.stringify({
    ...rows,
    capacities: [...rows.capacities],
    unannounced: [...rows.unannounced],
  });
}

async function readAll(client: pg.Client): Promise<ChaosRows> {
  const read = async <T extends pg.QueryResultRow>(sql: string): Promise<T[]> =>
    (await client.query<T>(sql)).rows;
  const ms = (column: string, name: string) => `(extract(epoch from ${column}) * 1000)::float8 as ${name}`;
  const [tracking] = await read<{ on: boolean }>(
    `select current_setting('track_commit_timestamp') = 'on' as on`,
  );
  const committed = tracking?.on
    ? ms('pg_xact_commit_timestamp(xmin)', 'committed_ms')
    : 'null as committed_ms';
  const [probes] = await read<{ there: boolean }>(`select to_regclass('chaos_commits') is not null as there`);
  const probed = <T extends pg.QueryResultRow>(sql: string): Promise<T[]> =>
    probes?.there ? read<T>(sql) : Promise.resolve([]);
  const capacities = await read<{ id: number; capacity: number }>('select id, capacity from annotators');
  const chunks = await read<{ shard_id: number; created: number }>(
    'select shard_id, sum(created)::int as created from import_chunks group by shard_id',
  );
  return {
    projects: await read('select id, slug, settings from projects order by id'),
    tasks: await read('select * from tasks order by id'),
    assignments: await read(`select *, ${ms('deadline_at', 'deadline_ms')} from assignments order by id`),
    annotations: await read('select * from annotations order by assignment_id'),
    transitions: await read(
      `select *, ${ms('at', 'at_ms')}, ${committed} from transitions order by shard_id, seq`,
    ),
    drafts: await read('select task_id, annotator_id, assignment_id, draft from drafts'),
    shards: await read('select * from shards order by id'),
    capacities: new Map(capacities.map((row) => [row.id, row.capacity])),
    unannounced: new Map(chunks.map((row) => [row.shard_id, row.created])),
    commits: await probed(`select *, ${ms('at', 'at_ms')} from chaos_commits order by at`),
    owners: await probed(`select *, ${ms('at', 'at_ms')} from chaos_owners order by at`),
    nodes: await probed('select * from chaos_nodes order by incarnation'),
    readAtMs: Date.now(),
  };
}
