/**
 * How a mail leaves: to an SMTP server (RFC 5321), or as a file into a folder, for trying things out.
 *
 * - Plain text, one recipient, a subject of ours: nothing that a person typed becomes a header.
 * - A link in a mail opens an account, so SMTP goes over verified TLS: `smtps://` from the start,
 *   `smtp://` by STARTTLS, without which nothing is sent. Exceptions are a server on this machine, and
 *   `?tls=off` for one on a network that nobody else reads.
 * - Faults carry codes only: what a mail server says often quotes the address.
 */
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createTransport } from "nodemailer";

/** One mail. */
export interface Mail {
  /** An address that was judged to be one. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** See the head of this file. */
export interface MailTransport {
  /** Sends a mail. Throws {@link MailFault}. */
  send(mail: Mail, id: string): Promise<void>;
  /** Asks whether mails could be sent now. Throws {@link MailFault}. */
  check(): Promise<void>;
}

/** A mail could not be sent. */
export class MailFault extends Error {
  override readonly name = "MailFault";
  /** As nodemailer and the system name it, with the server's reply code: `EENVELOPE 550`. */
  readonly code: string;
  /** Whether trying again is of no use. */
  readonly permanent: boolean;

  constructor(code: string, permanent: boolean) {
    super("The mail was not sent");
    this.code = code;
    this.permanent = permanent;
  }
}

/** What {@link createSmtpTransport} is told. */
export interface SmtpOptions {
  /** As {@link readSmtpUrl} takes it. */
  readonly url: string;
  /** `Name <address>` or an address. */
  readonly from: string;
  /** Milliseconds until a silent server is given up; standard 10,000. */
  readonly silenceMs?: number;
  /** Certificates (PEM) of the authorities to trust, in place of the system's. */
  readonly ca?: string;
}

/** A server of {@link readSmtpUrl}. */
export interface SmtpAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: "from_the_start" | "starttls" | "off";
  readonly auth: { readonly user: string; readonly pass: string } | null;
}

const SILENCE_MS = 10_000;

/** Reads `smtp://user:password@host:587` or `smtps://…`, with `?tls=off` after the former; `null` for anything else. */
export function readSmtpUrl(text: string): SmtpAddress | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^smtps?:$/.test(url.protocol) || url.hostname === "" || url.hash !== "") return null;
  if (!/^\/?$/.test(url.pathname) || !(url.search === "" || url.search === "?tls=off")) return null;
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const secure = url.protocol === "smtps:";
  if (secure && url.search !== "") return null;
  const open = url.search === "?tls=off" || /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
  const auth = readAuth(url);
  if (auth === undefined) return null;
  return {
    host,
    port: url.port === "" ? (secure ? 465 : 587) : Number(url.port),
    tls: secure ? "from_the_start" : open ? "off" : "starttls",
    auth,
  };
}

/** The name and the password in an address; `undefined` where its escapes are broken. */
function readAuth(url: URL): SmtpAddress["auth"] | undefined {
  if (url.username === "") return null;
  try {
    return { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  } catch {
    return undefined;
  }
}

/** Sends by SMTP, each mail over a connection of its own. */
export function createSmtpTransport(options: SmtpOptions): MailTransport {
  const address = readSmtpUrl(options.url);
  if (address === null) throw new RangeError("Give the mail server as smtp://user:password@host:587");
  const { host, port, tls, auth } = address;
  const silenceMs = options.silenceMs ?? SILENCE_MS;
  const server = createTransport({
    ...{ host, port, secure: tls === "from_the_start", requireTLS: tls === "starttls", ignoreTLS: tls === "off" },
    ...(auth === null ? {} : { auth: { ...auth } }),
    ...(options.ca === undefined ? {} : { tls: { ca: options.ca } }),
    ...{ connectionTimeout: silenceMs, greetingTimeout: silenceMs, socketTimeout: silenceMs, dnsTimeout: silenceMs },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  return {
    send: (mail, id) => withCodes(server.sendMail(messageOf(mail, options.from, id))),
    check: () => withCodes(server.verify()),
  };
}

/** What {@link createFolderTransport} is told. */
export interface MailFolderOptions {
  /** Made where it is not there; its parent must be. */
  readonly path: string;
  readonly from: string;
  /** Told of each file. */
  readonly onWritten: (path: string) => void;
}

/**
 * Writes each mail as a file (RFC 5322, `.eml`) that only the server's user can read. Its text stands as it
 * is, not wrapped: people read these with whatever shows a file, and copy the link out of it.
 */
export function createFolderTransport(options: MailFolderOptions): MailTransport {
  const make = () => mkdir(options.path, { mode: 0o700 }).catch(unlessThere);
  return {
    async send(mail, id) {
      const path = join(options.path, `${new Date().toISOString().replaceAll(":", "-")}-${id.slice(0, 8)}.eml`);
      const message = fileOf(mail, options.from, id);
      await withCodes(make().then(() => writeFile(path, message, { mode: 0o600 })));
      options.onWritten(path);
    },
    check: () => withCodes(make()),
  };
}

function fileOf(mail: Mail, from: string, id: string): string {
  const headers = {
    from,
    to: mail.to,
    subject: /^[\x20-\x7e]*$/.test(mail.subject)
      ? mail.subject
      : `=?UTF-8?B?${Buffer.from(mail.subject).toString("base64")}?=`, // RFC 2047
    date: new Date().toUTCString().replace("GMT", "+0000"),
    "message-id": messageId(from, id),
    "mime-version": "1.0",
    "content-type": "text/plain; charset=utf-8",
    "content-transfer-encoding": "8bit",
    ...HEADERS,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value.replace(/\p{Cc}/gu, " ")}`);
  return `${lines.join("\n")}\n\n${mail.text}`;
}

/** RFC 3834: nobody's out-of-office note should answer. */
const HEADERS = { "auto-submitted": "auto-generated" } as const;

function messageOf({ to, subject, text }: Mail, from: string, id: string) {
  return {
    from,
    to: { name: "", address: to },
    subject,
    text,
    messageId: messageId(from, id),
    headers: { ...HEADERS },
  };
}

/** The same for each try, so that a mailbox can drop what comes twice. */
function messageId(from: string, id: string): string {
  return `<${id}@${/@([^>\s]+)/.exec(from)?.[1] ?? "localhost"}>`;
}

function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

async function withCodes(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const { code, responseCode, permanent, syscall } = error as {
      [Name in "code" | "responseCode" | "permanent" | "syscall"]?: unknown;
    };
    const codes = [code, responseCode].filter((part) => typeof part === "string" || typeof part === "number");
    // Files that cannot be written stay so; of the rest the server itself says what is final.
    const isFile = typeof syscall === "string" && /^(open|mkdir|write)$/.test(syscall);
    throw new MailFault(codes.join(" ") || "UNKNOWN", permanent === true || isFile);
  }
}

/** An id for a mail. */
export function newMailId(): string {
  return randomUUID();
}
