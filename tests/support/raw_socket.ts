/**
 * A WebSocket client by hand (RFC 6455), for what a proper one does not do: it never answers pings,
 * it can stop reading, and it shows the HTTP answer where an upgrade is refused.
 */
import { createConnection, type Socket } from "node:net";

const DEADLINE_MS = 30_000;

/** The HTTP answer to an upgrade. */
export interface UpgradeAnswer {
  readonly status: number;
  readonly body: string;
}

/** See the head of this file. */
export class RawSocket implements Disposable {
  readonly #socket: Socket;
  /** Text frames that came. */
  readonly texts: string[] = [];
  /** Control frames that came, by opcode: 9 is a ping. */
  readonly controls: number[] = [];
  /** The code of the close frame, if one came. */
  closeCode: number | null = null;
  #gone = false;
  #bytes: Buffer = Buffer.alloc(0);
  #changed = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#gone = true;
      this.#wake();
    });
  }

  /** Sends an upgrade and gives the answer; `socket` is of use where the status is 101. */
  static async upgrade(
    url: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<UpgradeAnswer & { readonly socket: RawSocket }> {
    const { hostname, port, host, pathname, search } = new URL(url);
    const raw = new RawSocket(createConnection({ host: hostname, port: Number(port) }));
    const lines = Object.entries({ Host: host, Upgrade: "websocket", Connection: "Upgrade", ...headers });
    raw.#socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await raw.until(() => raw.#bytes.includes("\r\n\r\n"));
    const end = raw.#bytes.indexOf("\r\n\r\n");
    const head = raw.#bytes.subarray(0, end).toString();
    raw.#bytes = raw.#bytes.subarray(end + 4);
    const status = Number(head.split(" ")[1]);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (status !== 101) await raw.until(() => raw.#bytes.length >= length);
    const body = raw.#bytes.toString();
    return { status, body, socket: raw };
  }

  /** Opens a socket by header. */
  static async open(url: string, token: string): Promise<RawSocket> {
    const { status, socket } = await RawSocket.upgrade(url, { Authorization: `Bearer ${token}` });
    if (status !== 101) throw new Error(`The upgrade was refused: ${status}`);
    return socket;
  }

  /** Sends a frame as text, masked as a client must. */
  send(frame: object | string): void {
    this.write(0x1, Buffer.from(typeof frame === "string" ? frame : JSON.stringify(frame)));
  }

  /** Sends one unfragmented message of an opcode. */
  write(opcode: number, payload: Buffer): void {
    const { length } = payload;
    const head = length < 126 ? Buffer.from([0x80 | length]) : Buffer.alloc(length < 65_536 ? 3 : 9);
    if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 1);
    else if (length >= 126) head.writeUInt16BE(length, 1);
    if (length >= 126) head[0] = 0x80 | (length < 65_536 ? 126 : 127);
    // A mask of zeros leaves the payload as it is.
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode]), head, Buffer.alloc(4), payload]));
  }

  /** Stops reading: what the server sends fills the buffers of the two systems, and then its own. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  readOn(): void {
    this.#socket.resume();
  }

  /** Waits until a text frame fits, and gives it parsed. */
  async next(fits: (frame: { readonly type: string }) => boolean): Promise<unknown> {
    let found: unknown;
    await this.until(() => {
      this.#parse();
      found = this.texts.map((text) => JSON.parse(text)).find(fits);
      return found !== undefined;
    });
    return found;
  }

  /** Waits until the connection is gone. */
  async ended(): Promise<void> {
    await this.until(() => this.#gone);
    this.#parse();
  }

  /** Waits until what is asked for holds. */
  async until(holds: () => boolean): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("Nothing came on the raw socket")), DEADLINE_MS);
    try {
      while (!holds()) {
        if (this.#gone && !holds()) throw new Error("The raw socket is gone");
        await Promise.race([this.#changed.promise, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Takes whole frames off the front; a server's frames are not masked. */
  #parse(): void {
    for (;;) {
      const [first = 0, second = 0] = this.#bytes;
      const long = second === 126 ? 2 : second === 127 ? 8 : 0;
      if (this.#bytes.length < 2 + long) return;
      const length =
        long === 0 ? second : long === 2 ? this.#bytes.readUInt16BE(2) : Number(this.#bytes.readBigUInt64BE(2));
      const start = 2 + long;
      if (this.#bytes.length < start + length) return;
      const payload = this.#bytes.subarray(start, start + length);
      this.#bytes = this.#bytes.subarray(start + length);
      const opcode = first & 0x0f;
      if (opcode === 0x1) this.texts.push(payload.toString());
      else this.controls.push(opcode);
      if (opcode === 0x8 && length >= 2) this.closeCode = payload.readUInt16BE(0);
    }
  }
}
