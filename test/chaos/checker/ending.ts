import {
  ASSIGNMENT_STATE_CODES as ASSIGNMENT,
  knownNameOf,
  TASK_STATE_CODES as TASK,
} from '../../../engine/store/codes.ts';
import { violationsIn } from '../../engine/invariants.ts';
import { type Evidence, groupBy, type Violation } from './evidence.ts';

const LENGTH_MAX = 600;

/** I5 when all is over, I7 and the rest by the rows alone, and nodes that ended by themselves. */
export function checkEnding(evidence: Evidence): Violation[] {
  const ofRows = violationsIn(evidence.rows).map(
    (what): Violation => ({
      kind: 'history',
      what: what.slice(0, LENGTH_MAX),
    }),
  );
  return [...stranded(evidence), ...ofRows, ...epochs(evidence), ...nodes(evidence)];
}

/**
 * After the drain a task is complete, or waits because everybody has answered or skipped it. Held is what a person is to look
 * at: nothing of a campaign should come to that.
 */
function stranded({ rows }: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const people = [...rows.capacities.keys()];
  for (const task of rows.tasks) {
    if (task.state === TASK.complete || task.state === TASK.cancelled) continue;
    const had = new Set(task.had);
    const isExplained = task.state === TASK.waiting && people.every((id) => had.has(id));
    if (isExplained) continue;
    const state = knownNameOf(TASK, task.state) ?? task.state;
    wrong.push({
      kind: 'stranded',
      what: `task ${task.id} is ${state} with ${task.filled} of ${task.overlap} answers, and ${people.length - had.size} people could still take it`,
    });
  }
  for (const row of rows.assignments) {
    if (row.state > ASSIGNMENT.active) continue;
    const lateMs = Math.round(rows.readAtMs - row.deadline_ms);
    wrong.push({
      kind: 'stranded',
      what: `lease ${row.id} of annotator ${row.annotator_id} is open, ${lateMs} ms after its deadline`,
    });
  }
  for (const [shardId, created] of rows.unannounced)
    wrong.push({ kind: 'stranded', what: `${created} imported tasks of shard ${shardId} are not announced` });
  return wrong;
}

/** I6. One incarnation per epoch, epochs never go back, and each commit goes on from where the one before ended. */
function epochs({ rows }: Evidence): Violation[] {
  const wrong: Violation[] = [];
  const say = (what: string) => wrong.push({ kind: 'stale_epoch', what });
  for (const [shardId, commits] of groupBy(rows.commits, (row) => row.shard_id)) {
    const inOrder = [...commits].sort((a, b) => a.from_seq - b.from_seq || a.at_ms - b.at_ms);
    let highest = 0;
    const writerOf = new Map<number, number>();
    for (const { incarnation, epoch, from_seq, row_owner, row_epoch, row_seq } of inOrder) {
      const who = `incarnation ${incarnation} committed to shard ${shardId} under epoch ${epoch} at number ${from_seq}`;
      if (row_owner !== incarnation || row_epoch !== epoch)
        say(`${who}, when incarnation ${row_owner} owned it under epoch ${row_epoch}`);
      if (row_seq !== from_seq) say(`${who}, when the last number was ${row_seq}`);
      if (epoch < highest) say(`${who}, after epoch ${highest} had committed`);
      const writer = writerOf.get(epoch) ?? incarnation;
      if (writer !== incarnation) say(`${who}, which is the epoch of incarnation ${writer}`);
      writerOf.set(epoch, incarnation);
      highest = Math.max(highest, epoch);
    }
  }
  return wrong;
}

function nodes({ histories }: Evidence): Violation[] {
  return histories.nodes
    .filter(({ what }) => what === 'ended_by_itself' || what === 'did_not_stop')
    .map(({ name, what, detail }) => ({ kind: 'node_failed', what: `${name}: ${what} (${detail})` }));
}
