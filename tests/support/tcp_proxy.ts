/**
 * A TCP proxy that breaks the network on purpose, one direction at a time: `up` is what the client
 * sends to the server, `down` what the server sends to the client.
 *
 * - What is held or delayed is not lost: TCP would send it again. It arrives, in order, once the
 *   direction is healed, or never where the connection has ended meanwhile.
 * - Randomness is an argument, so that a run can be repeated.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** See the head of this file. */
export type Direction = "up" | "down";

/** How bytes of a direction travel: at once, after a delay of up to `jitterMs` more, or not at all. */
export type Passage =
  | { readonly kind: "open" }
  | { readonly kind: "slow"; readonly delayMs: number; readonly jitterMs: number }
  | { readonly kind: "held" };

/** What {@link TcpProxy.start} is told. */
export interface TcpProxyOptions {
  readonly host: string;
  readonly port: number;
  /** From 0 to 1; standard `Math.random`. */
  readonly random?: () => number;
}

/** One connection through the proxy. */
interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** What has to go on where a direction changes. */
  readonly flows: Readonly<Record<Direction, Flow>>;
}

const OPEN: Passage = { kind: "open" };
/** Bytes that wait in the proxy before it stops reading, so that a held sender feels it. */
const MOST_WAITING = 64 * 1024;

/** See the head of this file. Disposing cuts everything. */
export class TcpProxy implements AsyncDisposable {
  readonly #options: TcpProxyOptions;
  readonly #listener: Server;
  readonly #links = new Set<Link>();
  readonly #passages: Record<Direction, Passage> = { up: OPEN, down: OPEN };
  #refusing = false;
  #port = 0;

  private constructor(options: TcpProxyOptions) {
    this.#options = options;
    // A half that is closed is passed on by hand, after what was sent before it.
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  /** Listens on a free port of the loopback address. */
  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    const listening = Promise.withResolvers<void>();
    proxy.#listener.once("error", listening.reject);
    proxy.#listener.listen(0, "127.0.0.1", () => listening.resolve());
    await listening.promise;
    const address = proxy.#listener.address();
    proxy.#port = typeof address === "object" && address !== null ? address.port : 0;
    return proxy;
  }

  /** Where it listens. */
  get port(): number {
    return this.#port;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#links.size;
  }

  /** The same address by way of the proxy. */
  through(url: string): string {
    const proxied = new URL(url);
    proxied.hostname = "127.0.0.1";
    proxied.port = String(this.#port);
    return proxied.href.replace(/\/$/, url.endsWith("/") ? "/" : "");
  }

  /** Nothing travels that way any more; connections stand, and new ones are accepted. */
  hold(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#set(direction, { kind: "held" });
  }

  /** Everything that way takes longer, by `delayMs` and up to `jitterMs` more. */
  slow(direction: Direction, delayMs: number, jitterMs = 0): void {
    this.#set(direction, { kind: "slow", delayMs, jitterMs });
  }

  /** Ends every connection in order, as by a closed program; new ones are refused until healed. */
  cut(): void {
    this.#refusing = true;
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
  }

  /** Resets every connection (RST); new ones are accepted. */
  reset(): void {
    for (const { client, server } of this.#links) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Both directions are open, and new connections are accepted. */
  heal(): void {
    this.#refusing = false;
    this.#set("up", OPEN);
    this.#set("down", OPEN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#listener.close(() => closed.resolve());
    this.cut();
    await closed.promise;
  }

  #set(direction: Direction, passage: Passage): void {
    this.#passages[direction] = passage;
    for (const { flows } of this.#links) flows[direction].go();
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    const { host, port, random = Math.random } = this.#options;
    const server = createConnection({ host, port, allowHalfOpen: true, noDelay: true });
    const flow = (direction: Direction, from: Socket, to: Socket) =>
      new Flow(from, to, () => this.#passages[direction], random);
    const link: Link = {
      client,
      server,
      flows: { up: flow("up", client, server), down: flow("down", server, client) },
    };
    this.#links.add(link);
    for (const socket of [client, server]) {
      socket.on("error", () => {}); // its close follows, and is all that counts
      socket.on("close", () => {
        if (client.destroyed && server.destroyed) this.#links.delete(link);
      });
    }
  }
}

/** What one direction of one connection carries. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #passage: () => Passage;
  readonly #random: () => number;
  /** Chunks on their way and when each is due (ms); `null` is the end of the half. */
  readonly #waiting: { readonly chunk: Buffer | null; readonly dueAt: number }[] = [];
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(from: Socket, to: Socket, passage: () => Passage, random: () => number) {
    this.#from = from;
    this.#to = to;
    this.#passage = passage;
    this.#random = random;
    from.on("data", (chunk: Buffer) => this.#take(chunk));
    // However it ended: the other side learns of it in its turn, and while the direction is held not at all.
    from.on("end", () => this.#take(null));
    from.on("close", () => this.#take(null));
    to.on("drain", () => this.go());
    to.on("close", () => this.#drop());
  }

  /** Carries on after the passage has changed or the receiver has room. */
  go(): void {
    clearTimeout(this.#timer);
    while (this.#waiting.length > 0 && !this.#to.destroyed) {
      const passage = this.#passage();
      if (passage.kind === "held" || this.#to.writableNeedDrain) break;
      const [next] = this.#waiting;
      const wait = passage.kind === "slow" ? (next?.dueAt ?? 0) - performance.now() : 0;
      if (wait > 0) {
        this.#timer = setTimeout(() => this.go(), wait);
        break;
      }
      this.#waiting.shift();
      this.#bytes -= next?.chunk?.length ?? 0;
      if (next?.chunk) this.#to.write(next.chunk);
      else this.#to.end();
    }
    if (this.#bytes < MOST_WAITING && this.#from.isPaused()) this.#from.resume();
  }

  /** Nobody is there to receive any more: what still comes is read and forgotten. */
  #drop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#bytes = 0;
    this.#from.resume();
  }

  #take(chunk: Buffer | null): void {
    if (this.#to.destroyed) return;
    const passage = this.#passage();
    const delay = passage.kind === "slow" ? passage.delayMs + this.#random() * passage.jitterMs : 0;
    // In order: nothing is due before what came before it.
    const dueAt = Math.max(performance.now() + delay, this.#waiting.at(-1)?.dueAt ?? 0);
    this.#waiting.push({ chunk, dueAt });
    this.#bytes += chunk?.length ?? 0;
    if (this.#bytes >= MOST_WAITING) this.#from.pause();
    this.go();
  }
}
