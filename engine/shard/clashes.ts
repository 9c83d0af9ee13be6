import type { TaskId } from '../ids.ts';
import { quarantine } from './advance.ts';
import { findTask } from './control.ts';
import type { Term } from './term.ts';

/**
 * Tasks whose rows the database refused, because it holds one that memory does not know of (a row changed by hand, a bug).
 * The first time the shard is loaded anew and both agree again. When the same task clashes right after that, what
 * is on disk contradicts itself: granted again it would be lost again, and the whole shard with it, without end. So it is
 * quarantined, and everything else goes on.
 */
export class Clashes {
  private last: TaskId | undefined;
  private poisoned: TaskId | undefined;

  note(taskId: TaskId): void {
    if (this.last === taskId) this.poisoned = taskId;
    this.last = taskId;
  }

  /** For a term that has just been loaded. @throws when the database is away. */
  async quarantine(term: Term): Promise<void> {
    if (this.poisoned === undefined) return;
    const task = await findTask(term, this.poisoned);
    if (!term.alive) return;
    if (task && task.snapshot.state !== 'held') {
      quarantine(term, task, new Error('Its rows in the database contradict each other.'));
    }
    this.poisoned = undefined;
    this.last = undefined;
  }
}
