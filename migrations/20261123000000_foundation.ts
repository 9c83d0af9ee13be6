import type { Knex } from 'knex';

/**
 * The foundation schema. Two kinds of tables:
 *
 * - cold: projects, annotators, tokens and the like, written by admins, with foreign keys;
 * - hot: tasks, assignments, annotations, drafts, transitions, written by group commit. They carry no foreign
 *   keys: a check is an index probe and a row lock per row, and the single writer of a shard already knows that
 *   the other row exists. What must hold even if that writer is wrong (I1, I2, I4) is a unique index.
 *
 * State columns are small codes (see engine/store/codes.ts): every byte here is written at each step.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table projects (
      id          int generated always as identity primary key,
      slug        text not null unique,
      name        text not null,
      settings    jsonb not null,
      status      smallint not null default 1,          -- 1 active, 2 paused, 3 archived
      created_at  timestamptz not null default now(),
      updated_at  timestamptz not null default now()
    );

    create table annotators (
      id          int generated always as identity primary key,
      external_id text not null unique,
      name        text not null,
      status      smallint not null default 1,          -- 1 active, 2 paused, 3 banned
      status_reason text,
      capacity    smallint not null default 1 check (capacity between 1 and 100),
      skills      jsonb not null default '{}',          -- {skill: 0..100}
      created_at  timestamptz not null default now()
    );

    create table project_members (
      project_id   int not null references projects (id) on delete cascade,
      annotator_id int not null references annotators (id) on delete cascade,
      primary key (project_id, annotator_id)
    );

    create table tokens (
      id           int generated always as identity primary key,
      hash         bytea not null unique,               -- sha-256 of the token; the token itself is shown once
      prefix       text not null,                       -- its first characters, to tell tokens apart in a list
      name         text not null,
      role         text not null check (role in ('annotator', 'supervisor', 'admin')),
      annotator_id int references annotators (id) on delete cascade,
      created_at   timestamptz not null default now(),
      expires_at   timestamptz,
      revoked_at   timestamptz,
      check ((role = 'annotator') = (annotator_id is not null))
    );
    create index tokens_annotator on tokens (annotator_id) where annotator_id is not null;

    create table audit_log (
      id         bigint generated always as identity primary key,
      at         timestamptz not null default now(),
      actor      text not null,
      action     text not null,
      subject    text not null,
      detail     jsonb
    );

    -- Liveness of engine nodes: one row per incarnation, renewed by the database's clock.
    create table nodes (
      incarnation bigint generated always as identity primary key,
      name        text not null,
      version     text not null,
      started_at  timestamptz not null default now(),
      renewed_at  timestamptz not null default now()
    );

    -- The unit of ownership. The epoch is the fencing token; last_seq numbers the shard's transitions. The
    -- counters are moved by the statement that checks the fence, so statistics cost no extra row.
    create table shards (
      id          int generated always as identity primary key,
      project_id  int not null references projects (id),
      part        smallint not null default 0,
      owner       bigint,
      epoch       bigint not null default 0,
      last_seq    bigint not null default 0,
      tasks       bigint not null default 0,
      waiting     bigint not null default 0,
      held        bigint not null default 0,
      complete    bigint not null default 0,
      cancelled   bigint not null default 0,
      submitted   bigint not null default 0,
      surplus     bigint not null default 0,
      skipped     bigint not null default 0,
      expired     bigint not null default 0,
      abandoned   bigint not null default 0,
      unique (project_id, part)
    ) with (fillfactor = 50);

    create sequence task_ids increment 1;
    create table tasks (
      id              bigint not null default nextval('task_ids'),
      project_id      int not null,
      shard_id        int not null,
      state           smallint not null default 1,
      machine_version smallint not null default 1,
      overlap         smallint not null,
      filled          smallint not null default 0,      -- counted answers
      filled_slots    smallint[] not null default '{}', -- the slots they took
      attempts        smallint not null default 0,      -- leases that ended without an answer
      hold_condition  smallint,
      hold_detail     text,
      priority        smallint not null default 0,      -- as set by people, higher first
      queue_priority  smallint not null,                -- as the strategy orders, lower first
      queue_rank      bigint not null,
      had             int[] not null default '{}',      -- annotators who answered or skipped: never offered again
      requirements    jsonb,
      external_id     text,
      created_at      timestamptz not null default now(),
      updated_at      timestamptz not null default now(),
      primary key (project_id, id)
    ) with (fillfactor = 85);
    create unique index tasks_external_id on tasks (project_id, external_id) where external_id is not null;
    -- The ready queue on disk: two lanes, fresh and started, each in queue order. state 1 is "waiting".
    create index tasks_fresh on tasks (shard_id, queue_priority, queue_rank) where state = 1 and filled = 0;
    create index tasks_started on tasks (shard_id, queue_priority, queue_rank) where state = 1 and filled > 0;
    create index tasks_held on tasks (shard_id, id) where state = 4;

    create table task_payloads (
      task_id bigint primary key,
      data    jsonb not null
    );

    -- One row per imported chunk, written with its tasks and deleted when the shard's owner has numbered the
    -- import among its transitions and counted it: the announcement survives a crash in between.
    create table import_chunks (
      id         bigint generated always as identity primary key,
      shard_id   int not null,
      created    int not null,
      actor      text not null,
      at         timestamptz not null default now()
    );

    create sequence assignment_ids increment 4096;         -- a node draws a block at a time
    create table assignments (
      id            bigint not null,
      project_id    int not null,
      shard_id      int not null,
      task_id       bigint not null,
      annotator_id  int not null,
      slot          smallint not null,
      capacity_slot smallint not null,
      attempt       smallint not null,
      state         smallint not null,
      machine_version smallint not null default 1,
      request_id    text,
      granted_at    timestamptz not null default now(),
      started_at    timestamptz,
      deadline_at   timestamptz not null,
      ended_at      timestamptz,
      end_reason    text,
      primary key (project_id, id)
    ) with (fillfactor = 85);
    -- I1: one counted assignment per slot, and per annotator, of a task (offered 1, active 2, submitted 3, accepted 4).
    create unique index assignments_slot on assignments (task_id, slot) where state <= 4;
    create unique index assignments_annotator on assignments (task_id, annotator_id) where state <= 4;
    -- I2: one open lease per place of an annotator's capacity, whatever the shard (offered 1, active 2).
    create unique index assignments_capacity on assignments (annotator_id, capacity_slot) where state <= 2;

    create table annotations (
      project_id    int not null,
      assignment_id bigint not null,
      task_id       bigint not null,
      annotator_id  int not null,
      counted       boolean not null,
      late          boolean not null default false,     -- the lease had ended when it came
      submission_id text not null,
      result        jsonb not null,
      lead_time_ms  bigint not null,
      submitted_at  timestamptz not null default now(),
      primary key (project_id, assignment_id)
    );

    create table drafts (
      task_id       bigint not null,
      annotator_id  int not null,
      assignment_id bigint not null,
      draft         jsonb not null,
      updated_at    timestamptz not null default now(),
      primary key (task_id, annotator_id)
    );

    -- Every state is the fold of these (I7). Never any task data, result or name (I9).
    create table transitions (
      shard_id      int not null,
      seq           bigint not null,
      project_id    int not null,
      task_id       bigint,
      assignment_id bigint,
      annotator_id  int,
      event         smallint not null,
      task_state    smallint,
      assignment_state smallint,
      actor         text,
      detail        jsonb,
      at            timestamptz not null default now(),
      primary key (shard_id, seq)
    );
    create index transitions_task on transitions (task_id, seq) where task_id is not null;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop table transitions, drafts, annotations, assignments, import_chunks, task_payloads, tasks, shards, nodes,
      audit_log, tokens, project_members, annotators, projects cascade;
    drop sequence task_ids, assignment_ids;
  `);
}
