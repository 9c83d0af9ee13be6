import {
  BatonClient,
  type BatonClientEvents,
  type BatonClientOptions,
  BatonError,
} from '../../client/index.ts';

/** Quick clients, closed together. */
export class ClientsUnderTest {
  readonly #url: () => string;
  readonly #clients: BatonClient[] = [];

  constructor(url: () => string) {
    this.#url = url;
  }

  readonly open = (options: Partial<BatonClientOptions> = {}): BatonClient => {
    const client = new BatonClient({
      url: this.#url(),
      token: 'anna',
      ackTimeoutMs: 2_000,
      backoffBaseMs: 5,
      backoffMaxMs: 20,
      autosaveMs: 5,
      ...options,
    });
    this.#clients.push(client);
    return client;
  };

  readonly live = async (options: Partial<BatonClientOptions> = {}): Promise<BatonClient> => {
    const client = this.open(options);
    await client.connect();
    return client;
  };

  close(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }
}

/** Everything of this kind that the client tells from now on. */
export function heard<Name extends keyof BatonClientEvents>(
  client: BatonClient,
  name: Name,
): BatonClientEvents[Name][] {
  const events: BatonClientEvents[Name][] = [];
  client.on(name, (event) => events.push(event));
  return events;
}

export async function failureOf(promise: Promise<unknown>): Promise<BatonError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof BatonError)) throw new Error(`not a BatonError: ${String(error)}`);
  return error;
}
