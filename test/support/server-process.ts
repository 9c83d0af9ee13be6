import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const LAUNCHER = fileURLToPath(new URL('../../app/bin.js', import.meta.url));

const welcome = z.object({
  url: z.string(),
  docs: z.string(),
  database: z.string(),
  adminToken: z.string(),
  annotatorToken: z.string().optional(),
  startedInMs: z.number(),
});

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `baton serve` in a process of its own, as a user has it. */
export interface ServerProcess extends z.output<typeof welcome> {
  readonly pid: number;
  /** What it has written to its log so far. */
  log(): string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<Finished>;
}

/** Environment of a child: ours, without what would change settings, plus what is given. */
function environment(given: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, TMPDIR, ...given };
}

/** Runs a command of `baton` to its end. */
export async function runBaton(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = '',
): Promise<Finished> {
  const child = spawn(process.execPath, [LAUNCHER, ...args], { env: environment(env), stdio: 'pipe' });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return finished(child);
}

/**
 * Starts a server on a free port and waits until it is ready. @throws with its output when it ends before that.
 *
 * @param onSpawn is given the process before it is ready, for who must be able to end it then
 * @param launcher of another copy of Baton
 */
export async function startServer(
  env: Readonly<Record<string, string>>,
  onSpawn?: (child: ChildProcess) => void,
  launcher = LAUNCHER,
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [launcher, 'serve', '--json'], {
    env: environment({ PORT: '0', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onSpawn?.(child);
  const output = { stderr: '' };
  child.stderr.on('data', (chunk) => {
    output.stderr += String(chunk);
  });
  const ended = finished(child);
  const lines = createInterface(child.stdout);
  const ready = once(lines, 'line').then(([line]) => welcome.parse(JSON.parse(String(line))));
  const first = await Promise.race([ready, ended]);
  if ('code' in first)
    throw new Error(`the server ended with ${first.code ?? first.signal}:\n${first.stdout}${first.stderr}`);
  return {
    ...first,
    pid: child.pid ?? 0,
    log: () => output.stderr,
    kill: (signal) => child.kill(signal),
    ended,
  };
}

async function finished(child: ChildProcess): Promise<Finished> {
  const text = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    text.stdout += String(chunk);
  });
  child.stderr?.on('data', (chunk) => {
    text.stderr += String(chunk);
  });
  const [code, signal] = await once(child, 'close');
  return { ...text, code: typeof code === 'number' ? code : null, signal: isSignal(signal) ? signal : null };
}

function isSignal(value: unknown): value is NodeJS.Signals {
  return typeof value === 'string' && value.startsWith('SIG');
}
