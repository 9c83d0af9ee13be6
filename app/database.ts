import type { Config } from './config.ts';
import { startEmbeddedPostgres } from './postgres/index.ts';
import type { SupervisionEvent } from './postgres/supervisor.ts';

/** The database that a server uses: the operator's own, or the embedded one. */
export interface ProvidedDatabase {
  /** A secret: it holds the password. */
  readonly url: string;
  /** For people: where it is, without the password. */
  readonly description: string;
  /** Stops the embedded server; does nothing to one that is not ours. Safe to repeat. */
  stop(timeoutMs?: number): Promise<void>;
}

/**
 * @param dataDirectory opened by the caller, who holds its lock.
 * @param onEvent given: an embedded server that ends unasked is started again.
 * @throws StartFailure
 */
export async function provideDatabase(
  config: Config,
  dataDirectory: string,
  onEvent?: (event: SupervisionEvent) => void,
): Promise<ProvidedDatabase> {
  if (config.databaseUrl !== undefined) {
    const { host, pathname } = new URL(config.databaseUrl);
    return { url: config.databaseUrl, description: `${host}${pathname}`, stop: async () => undefined };
  }
  const postgres = await startEmbeddedPostgres({ dataDirectory, ...(onEvent && { onEvent }) });
  const how = postgres.adopted ? 'still running, adopted' : 'started';
  return {
    url: postgres.url,
    description: `embedded Postgres on 127.0.0.1:${postgres.port} (${how})`,
    stop: (timeoutMs) => postgres.stop(timeoutMs),
  };
}
