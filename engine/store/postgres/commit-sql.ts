/**
 * The statements of a group commit. They are prepared once per connection and take their rows as arrays, so a commit of
 * any size is three round trips: begin; fence, releases and rows, sent together; commit.
 *
 * They are planned at every execution: a generic plan does not know how long the arrays are and was made when the
 * tables were small, so it reads a whole grown table to update ten rows (measured: 230 ms where 2 ms are due).
 */
export const COMMIT_SESSION = `
  set plan_cache_mode = force_custom_plan; set synchronous_commit = on;
  set statement_timeout = '15s'; set idle_in_transaction_session_timeout = '15s'`;

/**
 * The fence: locks the shards' rows and compares them as the last commit or takeover left them, waiting for either if
 * it is under way. Who owns the shard, under which epoch, and which number came last: one that differs is an
 * error of the code FENCED, with the ids of such shards in its detail.
 */
export const FENCE_SQL = 'select commit_fence(?::int[], ?::bigint, ?::bigint[], ?::bigint[])';

export const FENCED = 'BT001';

/**
 * Assignments that free a slot or a place of capacity, before the next statement takes those places: the unique
 * indexes are checked row by row.
 */
export const RELEASE_SQL = `
  update assignments a set state = v.state,
    ended_at = case when v.state > 2 then now() else a.ended_at end,
    started_at = case when a.state = 1 and v.state = 2 then now() else a.started_at end,
    end_reason = coalesce(v.end_reason, a.end_reason),
    deadline_at = case when v.deadline_in_ms is null then a.deadline_at
      else now() + v.deadline_in_ms * interval '1 millisecond' end
  from unnest(?::int[], ?::bigint[], ?::smallint[], ?::text[], ?::bigint[])
    as v (project_id, id, state, end_reason, deadline_in_ms)
  where a.project_id = v.project_id and a.id = v.id`;

/**
 * Everything else: each table once, in any order, for no row here depends on another row here. The shard's row gets
 * the number of its last transition and its counters.
 */
export const ROWS_SQL = `
  with numbered as (
    update shards s set last_seq = v.last_seq, tasks = s.tasks + v.tasks, waiting = s.waiting + v.waiting,
      held = s.held + v.held, complete = s.complete + v.complete, cancelled = s.cancelled + v.cancelled,
      submitted = s.submitted + v.submitted, surplus = s.surplus + v.surplus, skipped = s.skipped + v.skipped,
      expired = s.expired + v.expired, abandoned = s.abandoned + v.abandoned
    from unnest(?::int[], ?::bigint[], ?::int[], ?::int[], ?::int[], ?::int[], ?::int[], ?::int[], ?::int[], ?::int[],
      ?::int[], ?::int[])
      as v (id, last_seq, tasks, waiting, held, complete, cancelled, submitted, surplus, skipped, expired, abandoned)
    where s.id = v.id
  ), claimed as (
    update assignments a set state = v.state, slot = v.slot, ended_at = now(), end_reason = null
    from unnest(?::int[], ?::bigint[], ?::smallint[], ?::smallint[]) as v (project_id, id, state, slot)
    where a.project_id = v.project_id and a.id = v.id
  ), inserted as (
    insert into assignments (project_id, shard_id, id, task_id, annotator_id, slot, capacity_slot, attempt, state,
      request_id, deadline_at, started_at, ended_at, end_reason)
    select project_id, shard_id, id, task_id, annotator_id, slot, capacity_slot, attempt, state, request_id,
      now() + deadline_in_ms * interval '1 millisecond', case when state = 1 then null else now() end,
      case when state > 2 then now() end, end_reason
    from unnest(?::int[], ?::int[], ?::bigint[], ?::bigint[], ?::int[], ?::smallint[], ?::smallint[], ?::smallint[],
      ?::smallint[], ?::text[], ?::bigint[], ?::text[])
      as v (project_id, shard_id, id, task_id, annotator_id, slot, capacity_slot, attempt, state, request_id,
        deadline_in_ms, end_reason)
  ), tasks_written as (
    update tasks t set state = v.state, machine_version = v.machine_version, overlap = v.overlap, filled = v.filled,
      filled_slots = v.filled_slots::smallint[], attempts = v.attempts, hold_condition = v.hold_condition,
      hold_detail = v.hold_detail, priority = v.priority, queue_priority = v.queue_priority, had = v.had::int[],
      requeued = v.requeued, updated_at = now()
    from unnest(?::int[], ?::bigint[], ?::smallint[], ?::smallint[], ?::smallint[], ?::smallint[], ?::text[],
      ?::smallint[], ?::smallint[], ?::text[], ?::smallint[], ?::smallint[], ?::text[], ?::boolean[])
      as v (project_id, id, state, machine_version, overlap, filled, filled_slots, attempts, hold_condition,
        hold_detail, priority, queue_priority, had, requeued)
    where t.project_id = v.project_id and t.id = v.id
  ), annotated as (
    insert into annotations (project_id, assignment_id, task_id, annotator_id, counted, late, submission_id, result, lead_time_ms)
    select project_id, assignment_id, task_id, annotator_id, counted, late, submission_id, result::jsonb, lead_time_ms
    from unnest(?::int[], ?::bigint[], ?::bigint[], ?::int[], ?::boolean[], ?::boolean[], ?::text[], ?::text[],
      ?::bigint[])
      as v (project_id, assignment_id, task_id, annotator_id, counted, late, submission_id, result, lead_time_ms)
  ), drafted as (
    insert into drafts (task_id, annotator_id, assignment_id, draft)
    select task_id, annotator_id, assignment_id, draft::jsonb
    from unnest(?::bigint[], ?::int[], ?::bigint[], ?::text[]) as v (task_id, annotator_id, assignment_id, draft)
    on conflict (task_id, annotator_id) do update
      set draft = excluded.draft, assignment_id = excluded.assignment_id, updated_at = now()
  ), undrafted as (
    delete from drafts d using unnest(?::bigint[], ?::int[]) as v (task_id, annotator_id)
    where d.task_id = v.task_id and d.annotator_id = v.annotator_id
  ), announced as (
    delete from import_chunks where id = any (?::bigint[])
  )
  insert into transitions (shard_id, seq, project_id, task_id, assignment_id, annotator_id, event, task_state,
    assignment_state, actor, detail)
  select shard_id, seq, project_id, task_id, assignment_id, annotator_id, event, task_state, assignment_state, actor,
    detail::jsonb
  from unnest(?::int[], ?::bigint[], ?::int[], ?::bigint[], ?::bigint[], ?::int[], ?::smallint[], ?::smallint[],
    ?::smallint[], ?::text[], ?::text[])
    as v (shard_id, seq, project_id, task_id, assignment_id, annotator_id, event, task_state, assignment_state, actor,
      detail)`;
