/** Clients for tests against a real server: what they saw, and sockets that the test can hurt. */
import {
  type ClientEvent,
  type ClientOptions,
  type ConnectionStatus,
  generatePemKeys,
  type PemKeys,
  type ReadableMessage,
  type SocketLike,
  SottoClient,
} from "../../src/client/mod.ts";
import type { AccountId } from "../../src/protocol/mod.ts";

/** A password that the server takes. */
export const PASSWORD = "violet-harbour-93-lantern";

let people = 0;
const pool: PemKeys[] = [];

/** Keys of a small size, made once for a process: a test's time is not for searching primes. */
export async function keysFor(index: number): Promise<PemKeys> {
  const known = pool[index];
  if (known !== undefined) return known;
  const made = await generatePemKeys(2_048);
  pool[index] = made;
  return made;
}

/** A client, and what became of it. */
export interface TestPerson {
  readonly client: SottoClient;
  readonly id: AccountId;
  readonly name: string;
  readonly wire: Wire;
  readonly statuses: ConnectionStatus[];
  /** Resolves when the connection is in this state, now or later. */
  reaches(state: ConnectionStatus["state"]): Promise<ConnectionStatus>;
}

/** Signs somebody up, with keys, and connects. */
export async function arrive(
  url: string,
  options: Partial<ClientOptions> & { index?: number } = {},
): Promise<TestPerson> {
  const keys = options.keys ?? (await keysFor(options.index ?? 0));
  const name = `person${++people}_${crypto.randomUUID().slice(0, 8)}`;
  return watch(name, options, (watched) =>
    SottoClient.signUp(url, { username: name, password: PASSWORD, ...watched, keys }),
  );
}

/** Watches a client that `open` makes with the given options, and connects it. */
export async function watch(
  name: string,
  options: Partial<ClientOptions>,
  open: (options: ClientOptions) => Promise<SottoClient>,
): Promise<TestPerson> {
  const wire = new Wire();
  const statuses: ConnectionStatus[] = [];
  const waiting = new Set<() => void>();
  const client = await open({
    ...options,
    openSocket: wire.open,
    onStatus: (status) => {
      statuses.push(status);
      options.onStatus?.(status);
      for (const wake of waiting) wake();
    },
  });
  client.connect();
  const reaches = (state: ConnectionStatus["state"]) =>
    new Promise<ConnectionStatus>((resolve) => {
      const look = () => {
        if (client.status.state !== state) return;
        waiting.delete(look);
        resolve(client.status);
      };
      waiting.add(look);
      look();
    });
  return { client, id: client.session.userId, name, wire, statuses, reaches };
}

/** Reads the next `count` messages. */
export async function read(client: SottoClient, count: number): Promise<ReadableMessage[]> {
  const messages: ReadableMessage[] = [];
  for await (const event of client.events()) {
    if (event.type === "message") messages.push(event);
    if (messages.length === count) break;
  }
  return messages;
}

/** Reads until an event is what the test waits for; gives all that came. */
export async function readUntil(client: SottoClient, is: (event: ClientEvent) => boolean): Promise<ClientEvent[]> {
  const events: ClientEvent[] = [];
  for await (const event of client.events()) {
    events.push(event);
    if (is(event)) break;
  }
  return events;
}

/** Real sockets, with a cutter: what the test lets through goes to and from a real server. */
export class Wire {
  /** Every frame that came, and every one that went, as text. */
  readonly came: string[] = [];
  readonly went: string[] = [];
  /** False: the frame is lost on the way. */
  lets: (direction: "came" | "went", text: string) => boolean = () => true;
  /** What a frame becomes on its way in. */
  alters: (text: string) => string = (text) => text;
  #current: WebSocket | undefined;

  /** Breaks the line, as far as the client can tell. */
  cut(): void {
    this.#current?.close(4_001);
  }

  readonly open = (url: string): SocketLike => {
    const socket = new WebSocket(url);
    this.#current = socket;
    return {
      get readyState() {
        return socket.readyState;
      },
      send: (text) => {
        this.went.push(text);
        if (this.lets("went", text)) socket.send(text);
      },
      close: (code) => socket.close(code),
      addEventListener: (type: string, listener: (event: never) => void) => {
        socket.addEventListener(type, (event) => {
          const text = event instanceof MessageEvent ? String(event.data) : undefined;
          if (text !== undefined) {
            this.came.push(text);
            if (this.lets("came", text)) listener({ data: this.alters(text) } as never);
          } else listener(event as never);
        });
      },
    };
  };
}
