import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** An order to a child process and its answer: both are JSON, and the module that is started says which. */
export interface Child<Order, Answer> {
  /** @throws (rejects) when the child reports an error or ends without an answer. */
  ask(order: Order): Promise<Answer>;
  readonly pid: number;
  /** Ends it at once, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Lets the child end by itself. */
  stop(): Promise<void>;
}

type Message<Answer> = { readonly answer: Answer } | { readonly error: string };

/** Starts a module of this folder in a process of its own, by the loader that runs this one. */
export function startChild<Order extends object, Answer>(
  module: string,
  options: { nodeFlags?: readonly string[] } = {},
): Child<Order, Answer> {
  // Under another runner, such as that of the tests, the loader of TypeScript has to be named.
  const isLoader = process.execArgv.some((flag) => flag.includes('tsx'));
  const child = fork(new URL(module, import.meta.url), {
    execArgv: [...(isLoader ? process.execArgv : ['--import', 'tsx']), ...(options.nodeFlags ?? [])],
  });
  return {
    ask: (order) => exchange(child, order),
    pid: child.pid ?? 0,
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}

/** The child's side: answers one order after the other; `end` runs when the parent is done or gone. */
export function serveParent<Order, Answer>(
  answer: (order: Order) => Promise<Answer>,
  end: () => Promise<void>,
): void {
  process.on('message', (order: Order) => {
    answer(order).then(
      (value) => process.send?.({ answer: value }),
      (error: unknown) =>
        process.send?.({ error: error instanceof Error ? (error.stack ?? '') : String(error) }),
    );
  });
  process.once('disconnect', () => void end().finally(() => process.exit()));
  // Ctrl-C reaches the whole process group: the parent ends its children in order.
  process.on('SIGINT', () => undefined);
}

function exchange<Order extends object, Answer>(child: ChildProcess, order: Order): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void =>
      reject(new Error(`a child process of the bench ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message: Message<Answer>) => {
      child.off('exit', ended);
      if ('error' in message) reject(new Error(message.error));
      else resolve(message.answer);
    });
    child.send(order);
  });
}
