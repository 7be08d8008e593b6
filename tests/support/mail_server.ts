/** A real SMTP server that keeps what it is given, and that can be slow, refuse, or be gone. */
import { createServer } from "node:net";
import { SMTPServer } from "smtp-server";
import { waitUntil } from "./wait.ts";

/** A mail as it arrived. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** The whole message (RFC 5322), lines ended by LF. */
  readonly raw: string;
  readonly headers: ReadonlyMap<string, string>;
  /** The text, decoded. */
  readonly text: string;
  /** Whether it came over TLS. */
  readonly secure: boolean;
}

/** What {@link TestMailServer.start} may be told. */
export interface MailServerOptions {
  readonly tls?: "none" | "starttls" | "from_the_start";
  readonly key?: string;
  readonly cert?: string;
  readonly login?: { readonly user: string; readonly pass: string };
}

/** What the server does with a recipient; resolves to an SMTP reply code, 250 to take it. */
export type Judge = (recipient: string) => number | Promise<number>;

/** See the head of this file. */
export class TestMailServer implements AsyncDisposable {
  readonly #server: SMTPServer;
  readonly mails: ReceivedMail[] = [];
  /** Recipients in the order they were named, also those that were refused. */
  readonly named: string[] = [];
  /** What it does with each recipient. */
  judge: Judge = () => 250;
  port = 0;

  private constructor(options: MailServerOptions) {
    const { tls = "none", key, cert, login } = options;
    this.#server = new SMTPServer({
      secure: tls === "from_the_start",
      ...(key === undefined || cert === undefined ? {} : { key, cert }),
      disabledCommands: [...(tls === "starttls" ? [] : ["STARTTLS"]), ...(login === undefined ? ["AUTH"] : [])],
      authOptional: login === undefined,
      allowInsecureAuth: true,
      onAuth: (auth, _session, done) => {
        const known = login !== undefined && auth.username === login.user && auth.password === login.pass;
        if (known) done(null, { user: auth.username });
        else done(Object.assign(new Error("no"), { responseCode: 535 }));
      },
      onRcptTo: (address, _session, done) => {
        this.named.push(address.address);
        Promise.resolve(this.judge(address.address)).then((code) =>
          code === 250 ? done() : done(Object.assign(new Error(`not ${address.address}`), { responseCode: code })),
        );
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          const { mailFrom, rcptTo } = session.envelope;
          this.mails.push({
            from: mailFrom === false ? "" : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            secure: session.secure,
            ...readMail(Buffer.concat(chunks).toString().replaceAll("\r\n", "\n")),
          });
          done();
        });
      },
    });
    this.#server.on("error", () => {}); // a client that goes away
  }

  /** Starts a server on a free port. */
  static async start(options: MailServerOptions = {}): Promise<TestMailServer> {
    const server = new TestMailServer(options);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    const address = server.#server.server.address();
    server.port = typeof address === "object" && address !== null ? address.port : 0;
    return server;
  }

  /** For SMTP_URL. */
  get url(): string {
    return `smtp://127.0.0.1:${this.port}`;
  }

  /** The newest mail to an address whose subject begins as told; waits for one. */
  async mailTo(address: string, subject = "", after = 0): Promise<ReceivedMail> {
    const find = () =>
      this.mails
        .slice(after)
        .findLast((mail) => mail.to.includes(address) && (mail.headers.get("subject") ?? "").startsWith(subject));
    await waitUntil(`a mail "${subject}" to ${address}`, () => find() !== undefined, 20_000);
    return find() as ReceivedMail;
  }

  /** The token in the newest mail to an address. */
  async tokenTo(address: string, subject = "", after = 0): Promise<string> {
    const { text } = await this.mailTo(address, subject, after);
    const token = /#token=([A-Za-z0-9_-]+)/.exec(text)?.[1];
    if (token === undefined) throw new Error(`No link in: ${text}`);
    return token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Reads a message of one text part. */
export function readMail(raw: string): Pick<ReceivedMail, "raw" | "headers" | "text"> {
  const at = raw.indexOf("\n\n");
  const head = raw.slice(0, at).replace(/\n[ \t]+/g, " ");
  const headers = new Map(
    head
      .split("\n")
      .map((line) => [
        line.slice(0, line.indexOf(":")).toLowerCase(),
        decodeWords(line.slice(line.indexOf(":") + 1).trim()),
      ]),
  );
  const body = raw.slice(at + 2);
  const encoding = headers.get("content-transfer-encoding") ?? "7bit";
  return {
    raw,
    headers,
    text: encoding === "base64" ? fromBase64(body) : encoding === "quoted-printable" ? fromQuoted(body) : body,
  };
}

function fromBase64(body: string): string {
  return Buffer.from(body, "base64").toString();
}

/** RFC 2045 section 6.7. */
function fromQuoted(body: string): string {
  const bytes = body
    .replace(/=\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString();
}

/** RFC 2047. */
function decodeWords(text: string): string {
  return text
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, kind: string, word: string) =>
      kind.toLowerCase() === "b" ? fromBase64(word) : fromQuoted(word.replaceAll("_", " ")),
    );
}

/** A port where a server accepts connections and never says a word. */
export async function silentServer(): Promise<
  { readonly port: number; readonly connections: () => number } & AsyncDisposable
> {
  let connections = 0;
  const open = new Set<{ destroy(): void }>();
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
