import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from './config.ts';

/** A log on standard error, one JSON object a line; standard output is for people and scripts. */
export interface ServerLog {
  readonly logger: Logger;
  /** Writes out what is still in memory. Before the process ends. */
  flush(): void;
}

export function openLog(config: Config): ServerLog {
  const destination = pino.destination({ dest: 2, sync: false });
  // A log that nobody takes any more (a closed terminal, a broken pipe) must not end the server.
  destination.on('error', () => undefined);
  const logger = pino(
    { level: config.logLevel, base: { node: config.nodeName }, timestamp: stdTimeFunctions.isoTime },
    destination,
  );
  return {
    logger,
    flush() {
      try {
        destination.flushSync();
      } catch {
        // It is closed, or not ready to be written to: there is nowhere left to say so.
      }
    },
  };
}
