/**
 * Redis: one connection for commands and one for each set of channels that is listened to.
 *
 * - Nothing waits for Redis to come back: without a connection a command fails at once.
 * - Every command has a deadline. When one passes, nothing is known of that connection any more,
 *   so it is replaced by a new one.
 * - A lost connection is made anew for ever, a little later each time.
 * - A listener that hears nothing of what is published to its own channel is deaf, whatever its
 *   socket says, and is replaced. What was published while it was away is lost: `up` says so.
 */
import { createClient } from "redis";

/** Redis does not answer: nothing is known of the command's effect. */
export class RedisFault extends Error {
  override readonly name = "RedisFault";
}

/** Told what channels bring. */
export interface ChannelListener {
  message(channel: string, text: string): void;
  /** Everything published from here on comes; what was published before may be lost. */
  up(): void;
}

/** A set of channels that is listened to. */
export interface Listening extends AsyncDisposable {
  /** Whether the connection stands, as far as is known. */
  readonly up: boolean;
}

/** See the head of this file. */
export interface Redis extends AsyncDisposable {
  /** Whether commands are likely to be answered. */
  readonly up: boolean;
  /** Runs one command, as `["PUBLISH", "channel", "text"]`; throws {@link RedisFault}. */
  command(parts: readonly string[]): Promise<unknown>;
  /** Runs a Lua script; throws {@link RedisFault}. */
  script(text: string, keys: readonly string[], values: readonly string[]): Promise<unknown>;
  /** Listens to channels; `ownChannel` is this listener's alone, and proves that it still hears. */
  listen(ownChannel: string, channels: readonly string[], listener: ChannelListener): Listening;
}

/** What {@link openRedis} may be told. */
export interface OpenRedisOptions {
  /** Milliseconds until a command is given up; standard 700. */
  readonly commandTimeoutMs?: number;
  /** From 0 to 1: spreads the attempts of many nodes; standard `Math.random`. */
  readonly random?: () => number;
  /** Commands can be sent, for the first time or again: what was kept in Redis may be gone. */
  readonly onUp?: () => void;
  /** Told once of each outage of a connection. */
  readonly onFault?: (error: unknown) => void;
}

/** A node that waits this long after a beat, and then a beat, still closes sockets of ended sessions within two seconds. */
const COMMAND_TIMEOUT_MS = 700;
const CONNECT_TIMEOUT_MS = 2_000;
const FIRST_WAIT_MS = 25;
const LONGEST_WAIT_MS = 500;
const PING_MS = 1_000;
/** Pings that were published and not heard before a listener counts as deaf. */
const UNHEARD_PINGS = 2;
/** Commands that may wait for their answers; far more than any deadline lets through. */
const MOST_COMMANDS = 100_000;

/** Opens Redis; the connection is made in the background, and made again when it is lost. */
export function openRedis(url: string, options: OpenRedisOptions = {}): Redis {
  const onFault = options.onFault ?? (() => {});
  const random = options.random ?? Math.random;
  const timeoutMs = options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
  const link = new Link(url, { setUp: async () => {}, up: options.onUp ?? (() => {}), onFault, random });
  const command = async (parts: readonly string[]): Promise<unknown> => {
    const client = link.client;
    if (client === null) throw new RedisFault("Redis is not connected");
    try {
      return await within(timeoutMs, client.sendCommand([...parts]));
    } catch (error) {
      if (error instanceof TookTooLong) link.replace(client);
      throw new RedisFault("Redis does not answer", { cause: error });
    }
  };
  return {
    get up() {
      return link.client !== null;
    },
    command,
    script: (text, keys, values) => command(["EVAL", text, String(keys.length), ...keys, ...values]),
    listen: (ownChannel, channels, listener) =>
      new Listener(url, ownChannel, channels, {
        listener,
        onFault,
        random,
        ping: (text) => command(["PUBLISH", ownChannel, text]),
      }),
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

/** A deadline passed. */
class TookTooLong extends Error {
  override readonly name = "TookTooLong";
}

type Client = ReturnType<typeof newClient>;

function newClient(url: string) {
  return createClient({
    url,
    disableOfflineQueue: true,
    commandsQueueMaxLength: MOST_COMMANDS,
    maintNotifications: "disabled",
    // The link makes a new client instead: so what has to be set up is set up in one place.
    socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false, keepAlive: true },
  });
}

interface LinkOptions {
  /** Makes a connected client ready; it is used only afterwards. */
  readonly setUp: (client: Client) => Promise<void>;
  readonly up: () => void;
  readonly onFault: (error: unknown) => void;
  readonly random: () => number;
}

/** Keeps one client connected. */
class Link implements AsyncDisposable {
  readonly #url: string;
  readonly #options: LinkOptions;
  readonly #ended = Promise.withResolvers<void>();
  readonly #kept: Promise<void>;
  #ending = false;
  /** Whether the outage that goes on was reported. */
  #reported = false;
  #client: Client | null = null;
  #lost = Promise.withResolvers<void>();

  constructor(url: string, options: LinkOptions) {
    this.#url = url;
    this.#options = options;
    this.#kept = this.#keep();
  }

  /** The client that is connected and set up, or `null`. */
  get client(): Client | null {
    return this.#client;
  }

  /** Gives a client up, unless it was given up already. */
  replace(client: Client): void {
    if (client !== this.#client) return;
    this.#client = null;
    this.#lost.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    this.#ended.resolve();
    await this.#kept;
  }

  async #keep(): Promise<void> {
    let waitMs = FIRST_WAIT_MS;
    while (!this.#ending) {
      if (await this.#live()) waitMs = FIRST_WAIT_MS;
      await this.#wait(waitMs * (0.5 + this.#options.random()));
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }

  /** The life of one client; whether it ever was of use. */
  async #live(): Promise<boolean> {
    const lost = Promise.withResolvers<void>();
    this.#lost = lost;
    const client = newClient(this.#url);
    const fail = (error: unknown): void => {
      if (!this.#ending && !this.#reported) {
        this.#reported = true;
        this.#options.onFault(error);
      }
      if (this.#client === client) this.#client = null;
      lost.resolve();
    };
    client.on("error", fail);
    client.on("end", () => fail(new RedisFault("The connection to Redis ended")));
    let used = false;
    try {
      await within(CONNECT_TIMEOUT_MS, Promise.race([this.#ended.promise, this.#begin(client)]));
      if (!this.#ending) {
        this.#client = client;
        used = true;
        this.#reported = false;
        this.#options.up();
        await Promise.race([lost.promise, this.#ended.promise]);
      }
    } catch (error) {
      fail(error);
    }
    this.#client = null;
    client.removeAllListeners("end");
    if (client.isOpen) client.destroy();
    return used;
  }

  async #begin(client: Client): Promise<void> {
    await client.connect();
    await this.#options.setUp(client);
  }

  async #wait(ms: number): Promise<void> {
    const waited = Promise.withResolvers<void>();
    const timer = setTimeout(waited.resolve, ms);
    await Promise.race([waited.promise, this.#ended.promise]);
    clearTimeout(timer);
  }
}

interface ListenerOptions {
  readonly listener: ChannelListener;
  readonly onFault: (error: unknown) => void;
  readonly random: () => number;
  /** Publishes to the listener's own channel, over another connection. */
  readonly ping: (text: string) => Promise<unknown>;
}

/** A link that listens, and notices when it has gone deaf. */
class Listener implements Listening {
  readonly #link: Link;
  readonly #options: ListenerOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Pings that were published since one was heard. */
  #unheard = 0;

  constructor(url: string, ownChannel: string, channels: readonly string[], options: ListenerOptions) {
    const { listener, onFault, random } = options;
    this.#options = options;
    this.#link = new Link(url, {
      setUp: async (client) => {
        await client.subscribe(ownChannel, () => {
          this.#unheard = 0;
        });
        await client.subscribe([...channels], (text, channel) => listener.message(channel, text));
      },
      up: () => {
        this.#unheard = 0;
        listener.up();
      },
      onFault,
      random,
    });
    this.#timer = setInterval(() => this.#check(), PING_MS);
  }

  get up(): boolean {
    return this.#link.client !== null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#link[Symbol.asyncDispose]();
  }

  #check(): void {
    const { client } = this.#link;
    if (client === null) return;
    if (this.#unheard >= UNHEARD_PINGS) {
      this.#options.onFault(new RedisFault("A listener heard nothing of its own pings"));
      this.#link.replace(client);
      return;
    }
    // Counted only once Redis has taken it: without commands nothing can be said of the listener.
    this.#options.ping("").then(
      () => {
        this.#unheard++;
      },
      () => {}, // the command's connection reports its own faults
    );
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new TookTooLong(`Redis took longer than ${ms} ms`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
