import type { Term } from './term.ts';

/**
 * Counts and numbers the chunks that were imported, or moved here from another shard, since the last look. The chunk's row was written with its
 * tasks and is deleted by the commit that counts it, so a crash in between loses nothing and counts nothing twice.
 *
 * @returns how many tasks were announced. @throws when the database is away.
 */
export async function announceImports(term: Term): Promise<number> {
  const chunks = await term.context.store.unannouncedChunks(term.shardId);
  let created = 0;
  let areBehind = term.project.settings.strategy === 'sequential';
  for (const chunk of chunks) {
    if (!term.alive || term.announced.has(chunk.id)) continue;
    term.announced.add(chunk.id);
    created += chunk.created;
    const writes = term.write();
    writes.announce(chunk.id);
    const { actor, movedFrom } = chunk;
    if (movedFrom === null) {
      writes.transition({ event: 'imported', actor, detail: { created: chunk.created } });
    } else {
      areBehind = false;
      writes.transition({
        event: 'tasks_received',
        actor,
        detail: { from: movedFrom, count: chunk.created },
      });
    }
    term.count('tasks', chunk.created);
    term.count('waiting', chunk.created);
  }
  if (created > 0) term.queue.imported(areBehind);
  return created;
}
