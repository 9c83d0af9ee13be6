import { readFileSync } from 'node:fs';
import { systemErrorCode } from './start-failure.ts';

/** Whether a process with this id runs. A zombie does not: it only waits for a parent that may never ask. */
export function isProcessRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    return systemErrorCode(error) === 'EPERM';
  }
  return procStat(pid)?.state !== 'Z';
}

/**
 * Tells one life of a process id from the next: ids are used again. Undefined where there is no /proc, and then
 * an id alone has to do.
 */
export function processBirth(pid: number): string | undefined {
  return procStat(pid)?.startTicks;
}

/** The command line of a process, or undefined where it cannot be read. */
export function processCommand(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    // No /proc on this system, or the process has just gone: the caller decides on other evidence.
    return undefined;
  }
}

function procStat(pid: number): { state: string; startTicks: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // No /proc on this system, or the process has just gone.
    return undefined;
  }
  // The name in parentheses may itself hold spaces and parentheses: fields are counted from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  return state === undefined || startTicks === undefined ? undefined : { state, startTicks };
}
