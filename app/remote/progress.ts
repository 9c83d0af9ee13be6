import { SingleBar } from 'cli-progress';

const LINE_EVERY_MS = 5_000;

/** How far a long piece of work has come. Goes to standard error: standard output is for results. */
export interface Progress {
  /** @param done of `total`, in the unit given. */
  update(done: number): void;
  /** Ends it, also after a failure. Safe to repeat. */
  stop(): void;
}

/** A bar on a terminal, a line every five seconds elsewhere. `total` 0: unknown. */
export function startProgress(args: {
  label: string;
  total: number;
  unit: string;
  quiet?: boolean;
}): Progress {
  if (args.quiet === true) return { update: () => undefined, stop: () => undefined };
  return process.stderr.isTTY && args.total > 0 ? bar(args) : lines(args);
}

function bar(args: { label: string; total: number; unit: string }): Progress {
  const shown = new SingleBar({
    format: `${args.label} {bar} {percentage}% | {value}/{total} ${args.unit} | {duration_formatted} | ETA {eta_formatted}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: false,
  });
  shown.start(args.total, 0);
  return { update: (done) => shown.update(done), stop: () => shown.stop() };
}

function lines(args: { label: string; total: number; unit: string }): Progress {
  let done = 0;
  const timer = setInterval(() => {
    const share = args.total > 0 ? ` (${Math.floor((done / args.total) * 100)}%)` : '';
    process.stderr.write(`${args.label}: ${done} ${args.unit}${share}\n`);
  }, LINE_EVERY_MS);
  timer.unref();
  return {
    update(now) {
      done = now;
    },
    stop: () => clearInterval(timer),
  };
}
