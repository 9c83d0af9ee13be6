import { readdirSync, readFileSync } from 'node:fs';

/** What the kernel counts CPU time in: 10 ms, on every Linux of today. Windows of seconds are fine with that. */
const TICK_MS = 10;

/** CPU time used so far, in milliseconds. */
export interface CpuTime {
  readonly nodeMs: number;
  /** Undefined where there is no /proc. */
  readonly postgresMs: number | undefined;
}

/** CPU time of this process and of all of Postgres: backends, WAL writer, checkpointer, vacuum. */
export function cpuTime(postmasterPid: number): CpuTime {
  const { user, system } = process.cpuUsage();
  return { nodeMs: (user + system) / 1_000, postgresMs: postgresMs(postmasterPid) };
}

/** Microseconds of CPU per cycle between two readings. */
export function cpuPerCycle(
  before: CpuTime,
  after: CpuTime,
  cycles: number,
): { node: number; postgres: number | null } {
  const postgres =
    before.postgresMs === undefined || after.postgresMs === undefined
      ? null
      : ((after.postgresMs - before.postgresMs) * 1_000) / cycles;
  return { node: ((after.nodeMs - before.nodeMs) * 1_000) / cycles, postgres };
}

/** CPU time that one process has used so far, in milliseconds. Undefined where there is no /proc, or it has ended. */
export function processCpuMs(pid: number): number | undefined {
  const stat = statOf(pid);
  return stat === undefined ? undefined : stat.ticks * TICK_MS;
}

function postgresMs(postmasterPid: number): number | undefined {
  const postmaster = statOf(postmasterPid);
  if (postmaster === undefined) return undefined;
  // Children that have ended are counted in the postmaster's own children's time.
  let ticks = postmaster.ticks + postmaster.childTicks;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat?.parent === postmasterPid) ticks += stat.ticks;
  }
  return ticks * TICK_MS;
}

function statOf(pid: number): { parent: number; ticks: number; childTicks: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // The process has ended meanwhile, or this is no Linux.
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold anything; fields are counted after it.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent = 0, user = 0, system = 0, childUser = 0, childSystem = 0] = [1, 11, 12, 13, 14].map(
    (i) => fields[i],
  );
  return { parent, ticks: user + system, childTicks: childUser + childSystem };
}
