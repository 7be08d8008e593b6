/**
 * A WebSocket client as cheap as one can be (RFC 6455): frames are found in the bytes as they come
 * and nothing is parsed that nobody asks for, so that one process drives a server that has a core
 * of its own.
 *
 * - Masks are zero. That is valid on the wire and costs the server as much as any other mask; section
 *   5.3 wants masks that nobody can foresee, for the sake of proxies, and here there is none.
 * - What is written while frames are being read leaves when they all have been read, in one write for
 *   each socket, as from a client that writes once a turn.
 */

/** Told what comes; `at` and `end` bound the payload in `bytes`, which is only good during the call. */
export interface WireHandler {
  text(wire: Wire, bytes: Uint8Array, at: number, end: number): void;
  closed(wire: Wire, reason: string): void;
}

type TcpSocket = Bun.Socket<Wire>;

const HEAD_END = "\r\n\r\n";
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const FIRST_ROOM = 1_024;

/** Whether frames are being read, and the sockets that have something to write afterwards. */
let reading = false;
let dirty: Wire[] = [];

/** The bytes of a frame from a client; the payload starts at `bytes.length - payload.length`. */
export function clientFrame(payload: Uint8Array, opcode = TEXT): Uint8Array {
  const { length } = payload;
  if (length >= 65_536) throw new Error(`Send less than 64 KiB: current value is ${length}`);
  const head = length < 126 ? [0x80 | opcode, 0x80 | length] : [0x80 | opcode, 0xfe, length >> 8, length & 0xff];
  const frame = new Uint8Array(head.length + 4 + length);
  frame.set(head);
  frame.set(payload, head.length + 4);
  return frame;
}

/** See the head of this file. */
export class Wire {
  readonly #handler: WireHandler;
  #socket: TcpSocket | null = null;
  #rest: Uint8Array | null = null;
  /** What is to be written, its length, and whether this socket waits for its turn to be over or for `drain`. */
  #out = new Uint8Array(0);
  #length = 0;
  #waits = false;
  #upgraded = Promise.withResolvers<void>();
  #isUpgraded = false;
  #ended = false;

  private constructor(handler: WireHandler) {
    this.#handler = handler;
  }

  /** Opens a socket; rejects with the status line where the upgrade is refused. */
  static async open(url: URL, token: string | null, handler: WireHandler): Promise<Wire> {
    const wire = new Wire(handler);
    wire.#socket = await Bun.connect<Wire>({
      hostname: url.hostname,
      port: Number(url.port),
      data: wire,
      socket: {
        data: (_, bytes) => wire.#receive(bytes),
        drain: () => wire.flush(),
        close: () => wire.#close("the connection ended"),
        error: (_, error) => wire.#close(error.message),
      },
    });
    const authorization = token === null ? "" : `Authorization: Bearer ${token}\r\n`;
    wire.write(
      Buffer.from(
        `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c290dG8gYmVuY2htYXJrIQ==\r\n${authorization}\r\n`,
      ),
    );
    await wire.#upgraded.promise;
    return wire;
  }

  /** Sends bytes as they are; they may be reused afterwards. */
  write(bytes: Uint8Array): void {
    if (this.#ended) return;
    const length = this.#length + bytes.length;
    if (length > this.#out.length) this.#grow(length);
    this.#out.set(bytes, this.#length);
    this.#length = length;
    if (this.#waits) return;
    if (!reading) return this.flush();
    this.#waits = true;
    dirty.push(this);
  }

  /** Writes what waits. */
  flush(): void {
    if (this.#ended || this.#socket === null) return;
    const taken = Math.max(0, this.#socket.write(this.#out, 0, this.#length));
    this.#waits = taken < this.#length; // then `drain` comes
    if (this.#waits) this.#out.copyWithin(0, taken, this.#length);
    this.#length -= taken;
  }

  /** Cuts the connection. */
  end(): void {
    this.#ended = true;
    this.#socket?.end();
  }

  #grow(length: number): void {
    const larger = new Uint8Array(Math.max(FIRST_ROOM, length, this.#out.length * 2));
    larger.set(this.#out.subarray(0, this.#length));
    this.#out = larger;
  }

  #receive(chunk: Uint8Array): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    reading = true;
    try {
      const from = this.#isUpgraded ? 0 : this.#readAnswer(bytes);
      if (from < 0) this.#rest = bytes.slice();
      else this.#readFrames(bytes, from);
    } finally {
      reading = false;
      if (dirty.length > 0) flushAll();
    }
  }

  /** Where the frames begin, or -1 while the answer is not complete. */
  #readAnswer(bytes: Uint8Array): number {
    const text = Buffer.from(bytes).toString("latin1");
    const end = text.indexOf(HEAD_END);
    if (end < 0) return -1;
    if (text.startsWith("HTTP/1.1 101 ")) {
      this.#isUpgraded = true;
      this.#upgraded.resolve();
    } else this.#close(text.slice(0, text.indexOf("\r\n")));
    return end + HEAD_END.length;
  }

  #readFrames(bytes: Uint8Array, from: number): void {
    let at = from;
    while (bytes.length - at >= 2) {
      const first = bytes[at] ?? 0;
      let length = bytes[at + 1] ?? 0;
      let start = at + 2;
      if (length === 126) {
        if (bytes.length - at < 4) break;
        length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
        start = at + 4;
      } else if (length === 127) {
        if (bytes.length - at < 10) break;
        length = Number(new DataView(bytes.buffer, bytes.byteOffset + at + 2, 8).getBigUint64(0));
        start = at + 10;
      }
      const end = start + length;
      if (end > bytes.length) break;
      this.#frame(first & 0x0f, bytes, start, end);
      at = end;
    }
    if (at < bytes.length) this.#rest = bytes.slice(at);
  }

  #frame(opcode: number, bytes: Uint8Array, start: number, end: number): void {
    if (opcode === TEXT) this.#handler.text(this, bytes, start, end);
    else if (opcode === PING) this.write(clientFrame(bytes.subarray(start, end), PONG));
    else if (opcode === CLOSE) {
      this.#close(`closed with ${((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0)}`);
      this.#socket?.end();
    }
  }

  #close(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#isUpgraded) this.#handler.closed(this, reason);
    else this.#upgraded.reject(new Error(`The upgrade was refused: ${reason}`));
  }
}

function flushAll(): void {
  const wires = dirty;
  dirty = [];
  for (const wire of wires) wire.flush();
}
