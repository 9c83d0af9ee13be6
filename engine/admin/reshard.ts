import type { QueueKey } from '../queue/key.ts';
import { faultOf } from '../store/admin/faults.ts';
import { moveStrays, readStretch, type Stretch } from '../store/admin/move-tasks.ts';
import { type ProjectRecord, readProject } from '../store/admin/projects.ts';
import { type Actor, type AdminContext, read, write } from './context.ts';

/** Tasks that are looked at in one transaction: what it locks is locked for some tens of milliseconds. */
const STRETCH_TASKS = 2_000;
/** A change of the strategy that lays the same tasks out anew can deadlock with a move; one of them is undone. */
const CLASH_RETRIES = 5;

/**
 * Spreads a project's tasks over its shards as its setting says: fresh tasks at rest go to the shard that they belong to,
 * a stretch at a time. Each stretch is a transaction of its own and finds by itself what is left to do, so a move that was
 * cut short is gone on with by beginning it again, and two at the same time do no harm.
 *
 * The owners are told after every stretch: those that got tasks have them for whoever waits, and the one that gave some has
 * time to commit what it is asked for before the next.
 *
 * @param project as it was just changed; the move ends when its number of shards is changed again meanwhile.
 * @returns how many tasks were moved. @throws when the database is away: what was moved stays moved.
 */
export async function spreadTasks(
  context: AdminContext,
  project: ProjectRecord,
  actor: Actor,
): Promise<number> {
  const homes = project.shardIds.slice(0, project.settings.shards);
  let total = 0;
  for (const [part, shardId] of project.shardIds.entries()) {
    let after: QueueKey | undefined;
    for (;;) {
      const from = after;
      const look = { shardId, homes, after: from, limit: STRETCH_TASKS };
      const stretch: Stretch | undefined = await read(context, (tx) => readStretch(tx, look));
      if (stretch === undefined) break;
      after = stretch.last;
      if (!stretch.hasStrays) continue;
      const moved = await moveStretch(context, project, { part, stretch, actor });
      if (moved === 'superseded') return total;
      total += moved;
      // A refusal is no error: the chunks wait in the database for the owners, who look there by themselves.
      if (moved > 0) await context.engine.control.tasksImported(project.id);
    }
  }
  return total;
}

async function moveStretch(
  context: AdminContext,
  { slug, id: projectId, settings }: ProjectRecord,
  args: { part: number; stretch: Stretch; actor: Actor },
): Promise<number | 'superseded'> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await write(context, async (tx) => {
        const now = await readProject(tx, slug, 'share');
        if (now === undefined || now.settings.shards !== settings.shards) return 'superseded';
        const homes = now.shardIds.slice(0, settings.shards);
        return moveStrays(tx, { projectId, homes, ...args });
      });
    } catch (error) {
      if (faultOf(error) !== 'clash' || attempt >= CLASH_RETRIES) throw error;
    }
  }
}
