import { connect, createServer, type Server, type Socket } from 'node:net';

/** What one direction of a connection holds back while it is slow or hung, in bytes; more stays with the sender. */
const HELD_BYTES_MAX = 256 * 1024;

/**
 * Stands between clients and a server, at an address that stays the same, and does what a failing network does: cuts every
 * connection at once, without a goodbye; delays what is sent; or carries nothing more while connections stay open.
 */
export class CuttableProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #flows = new Set<Flow>();
  #targetPorts: readonly number[];
  #joined = 0;
  #delayMs = 0;
  #isHung = false;

  private constructor(targetPort: number) {
    this.#targetPorts = [targetPort];
    this.#server = createServer((inner) => this.#join(inner));
  }

  static async start(targetPort: number): Promise<CuttableProxy> {
    const proxy = new CuttableProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    return address.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** New connections go to these servers in turn, as behind a balancer. */
  aim(...targetPorts: readonly number[]): void {
    this.#targetPorts = targetPorts;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** From now on everything arrives so much later; 0: at once. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Nothing arrives any more, on old connections and new ones, and none of them ends. */
  hang(): void {
    this.#isHung = true;
  }

  /** What was held back arrives now, and all goes on. */
  heal(): void {
    this.#isHung = false;
    this.#delayMs = 0;
    for (const flow of this.#flows) flow.pump();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(inner: Socket): void {
    const targetPort = this.#targetPorts[this.#joined++ % this.#targetPorts.length] ?? 0;
    const outer = connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      const flow = new Flow(socket, other, () => (this.#isHung ? Number.POSITIVE_INFINITY : this.#delayMs));
      this.#flows.add(flow);
      // A connection that breaks is what this is for; its end is heard below.
      socket.on('error', () => flow.end());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        flow.end();
      });
      flow.onOver = () => this.#flows.delete(flow);
    }
  }
}

/** One direction of one connection: what comes in goes out in order, each piece after its delay. */
class Flow {
  onOver: () => void = () => undefined;
  readonly #from: Socket;
  readonly #to: Socket;
  /** Infinite while nothing may pass. */
  readonly #delayMs: () => number;
  readonly #held: { readonly bytes: Buffer; readonly atMs: number }[] = [];
  #heldBytes = 0;
  #hasEnded = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, delayMs: () => number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
    from.on('data', (bytes) => {
      this.#held.push({ bytes, atMs: performance.now() });
      this.#heldBytes += bytes.length;
      this.pump();
      if (this.#heldBytes > HELD_BYTES_MAX) from.pause();
    });
    to.on('drain', () => this.pump());
    to.on('close', () => {
      clearTimeout(this.#timer);
      this.onOver();
    });
  }

  /** The sender has gone: the other side hears of it after what was sent before, as in a network. */
  end(): void {
    this.#hasEnded = true;
    this.pump();
  }

  pump(): void {
    clearTimeout(this.#timer);
    const delayMs = this.#delayMs();
    if (delayMs === Number.POSITIVE_INFINITY || this.#to.destroyed) return;
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      const waitMs = next.atMs + delayMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
        return;
      }
      // Over a full socket the rest waits for its 'drain'.
      if (this.#to.writableNeedDrain) return;
      this.#held.shift();
      this.#heldBytes -= next.bytes.length;
      this.#to.write(next.bytes);
    }
    if (this.#heldBytes <= HELD_BYTES_MAX && !this.#from.destroyed) this.#from.resume();
    if (this.#hasEnded) this.#to.destroySoon();
  }
}
