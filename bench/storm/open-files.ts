import { readFileSync } from 'node:fs';

/** Files, sockets among them, that one process may hold open here. Infinity where nobody says. */
export function openFilesMax(): number {
  let text: string;
  try {
    text = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // No /proc on this system: it turns out when it is tried.
    return Number.POSITIVE_INFINITY;
  }
  // The third column is the soft limit, which Node has raised to the hard one at its start.
  const limit = Number(/^Max open files\s+(\d+)/m.exec(text)?.[1]);
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}
