/** Mails to a real SMTP server and into a folder. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createFolderTransport,
  createSmtpTransport,
  MailFault,
  newMailId,
  readSmtpUrl,
} from "../../../src/platform/mail_transport.ts";
import { freePort } from "../../support/free_port.ts";
import { readMail, silentServer, TestMailServer } from "../../support/mail_server.ts";

const FROM = "Sotto <chat@sotto.test>";
const MAIL = { to: "ada@example.org", subject: "Grüße", text: "Öffne das:\n\nhttps://chat.sotto.test/x#token=abc\n" };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sotto-mail-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A certificate for localhost, signed by itself. */
async function certificate(): Promise<{ key: string; cert: string }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const command = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost
    -addext subjectAltName=DNS:localhost,IP:::ffff:127.0.0.1 -keyout ${key} -out ${cert}`;
  const made = Bun.spawnSync(command.split(/\s+/), { stdout: "ignore", stderr: "pipe" });
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
}

const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => "sent",
    (error: unknown) => {
      if (!(error instanceof MailFault)) throw error;
      return `${error.permanent ? "final" : "again"} ${error.code}`;
    },
  );

describe("readSmtpUrl()", () => {
  test.each([
    ["smtp://mail.example.org", { host: "mail.example.org", port: 587, tls: "starttls", auth: null }],
    ["smtps://mail.example.org", { host: "mail.example.org", port: 465, tls: "from_the_start", auth: null }],
    [
      "smtp://u%40x:p%3Aw@mail:2525/",
      { host: "mail", port: 2525, tls: "starttls", auth: { user: "u@x", pass: "p:w" } },
    ],
    ["smtp://localhost:25", { host: "localhost", port: 25, tls: "off", auth: null }],
    ["smtp://[::1]:25", { host: "::1", port: 25, tls: "off", auth: null }],
    ["smtp://relay:25?tls=off", { host: "relay", port: 25, tls: "off", auth: null }],
  ] as const)("reads %p", (text, address) => {
    expect(readSmtpUrl(text) as object).toEqual(address);
  });

  test.each([
    "",
    "mail.example.org",
    "http://mail.example.org",
    "smtp://",
    "smtp://mail/path",
    "smtp://mail?tls=maybe",
    "smtp://mail?ignoreTLS=true",
    "smtps://mail?tls=off",
    "smtp://mail#x",
    "smtp://%zz:x@mail",
  ])("refuses %p", (text) => {
    expect(readSmtpUrl(text)).toBeNull();
  });
});

describe("a mail by SMTP", () => {
  test("arrives whole, with an id of its own, and says that a program wrote it", async () => {
    await using server = await TestMailServer.start();
    const transport = createSmtpTransport({ url: server.url, from: FROM });
    await transport.check();
    const id = newMailId();
    await transport.send(MAIL, id);
    const [mail] = server.mails;
    expect(mail).toMatchObject({ from: "chat@sotto.test", to: [MAIL.to], secure: false });
    expect(mail?.headers.get("subject")).toBe(MAIL.subject);
    expect(mail?.headers.get("from")).toBe("Sotto <chat@sotto.test>");
    expect(mail?.headers.get("to")).toBe(MAIL.to);
    expect(mail?.headers.get("message-id")).toBe(`<${id}@sotto.test>`);
    expect(mail?.headers.get("auto-submitted")).toBe("auto-generated");
    expect(mail?.headers.get("content-type")).toStartWith("text/plain; charset=utf-8");
    expect(mail?.text.trim()).toBe(MAIL.text.trim());
  });

  test("has no header that somebody smuggled into the address, the subject or the text", async () => {
    await using server = await TestMailServer.start();
    const transport = createSmtpTransport({ url: server.url, from: FROM });
    const evil = "x\r\nBcc: eve@example.org\r\n\r\nsecond body";
    for (const mail of [
      { ...MAIL, subject: evil },
      { ...MAIL, text: `first\r\n.\r\nMAIL FROM:<eve@example.org>\r\n${evil}` },
      { ...MAIL, to: `ada@example.org\r\nBcc: eve@example.org` },
      { ...MAIL, to: "ada@example.org, eve@example.org" },
    ]) {
      await faultOf(transport.send(mail, newMailId()));
    }
    expect(server.mails.length).toBeGreaterThanOrEqual(2);
    for (const { headers, to } of server.mails) {
      expect(headers.has("bcc")).toBe(false);
      expect(to).not.toContain("eve@example.org");
    }
    expect(server.named).not.toContain("eve@example.org");
  });

  test("goes with the name and password of the address, and a wrong one is final", async () => {
    await using server = await TestMailServer.start({ login: { user: "sotto", pass: "p:w@" } });
    const at = (login: string) => createSmtpTransport({ url: `smtp://${login}@127.0.0.1:${server.port}`, from: FROM });
    await at("sotto:p%3Aw%40").send(MAIL, newMailId());
    expect(server.mails).toHaveLength(1);
    expect(await faultOf(at("sotto:wrong").send(MAIL, newMailId()))).toBe("final EAUTH 535");
  });

  test("is refused for good or for now, as the server says, and its fault quotes nothing", async () => {
    await using server = await TestMailServer.start();
    const transport = createSmtpTransport({ url: server.url, from: FROM });
    server.judge = () => 550;
    expect(await faultOf(transport.send(MAIL, newMailId()))).toBe("final EENVELOPE 550");
    server.judge = () => 451;
    expect(await faultOf(transport.send(MAIL, newMailId()))).toBe("again EENVELOPE 451");
    const fault = await transport.send(MAIL, newMailId()).catch((error: unknown) => error);
    expect(Bun.inspect(fault)).not.toContain("ada@");
  });

  test("to a server that is down or silent fails for now, soon", async () => {
    const down = createSmtpTransport({ url: `smtp://127.0.0.1:${await freePort()}`, from: FROM });
    expect(await faultOf(down.send(MAIL, newMailId()))).toBe("again ESOCKET");
    await using silent = await silentServer();
    const mute = createSmtpTransport({ url: `smtp://127.0.0.1:${silent.port}`, from: FROM, silenceMs: 300 });
    const begun = performance.now();
    expect(await faultOf(mute.send(MAIL, newMailId()))).toStartWith("again ");
    expect(await faultOf(mute.check())).toStartWith("again ");
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

/** It makes the certificates; where it is missing, CI fails and others pass over these. */
const WITHOUT_OPENSSL = Bun.which("openssl") === null && !process.env["CI"];

describe.skipIf(WITHOUT_OPENSSL)("a mail by SMTP over TLS", () => {
  // `localhost` would go without TLS, being this machine; this name is the same and does not look so.
  const away = (server: TestMailServer, scheme: string) => `${scheme}://[::ffff:127.0.0.1]:${server.port}`;

  test("goes to a server whose certificate is right, by STARTTLS and from the start", async () => {
    const own = await certificate();
    for (const [tls, scheme] of [
      ["starttls", "smtp"],
      ["from_the_start", "smtps"],
    ] as const) {
      await using server = await TestMailServer.start({ tls, ...own });
      const transport = createSmtpTransport({ url: away(server, scheme), from: FROM, ca: own.cert });
      await transport.send(MAIL, newMailId());
      expect(server.mails.map(({ secure }) => secure)).toEqual([true]);
    }
  });

  test("does not go where the certificate is anybody's, nor where the server offers no TLS", async () => {
    const own = await certificate();
    for (const [tls, scheme] of [
      ["starttls", "smtp"],
      ["from_the_start", "smtps"],
      ["none", "smtp"],
    ] as const) {
      await using server = await TestMailServer.start({ tls, ...own, login: { user: "sotto", pass: "secret" } });
      const url = away(server, scheme).replace("://", "://sotto:secret@");
      const transport = createSmtpTransport({ url, from: FROM });
      expect(await faultOf(transport.send(MAIL, newMailId()))).not.toBe("sent");
      expect([server.named, server.mails]).toEqual([[], []]);
    }
  });
});

describe("a mail into a folder", () => {
  test("is a file that only its owner reads, and its path is told", async () => {
    const path = join(folder, "mail");
    const written: string[] = [];
    const transport = createFolderTransport({ path, from: FROM, onWritten: (file) => written.push(file) });
    await transport.check();
    await transport.send(MAIL, newMailId());
    await transport.send(MAIL, newMailId());
    expect((await readdir(path)).map((name) => join(path, name)).sort()).toEqual(written.toSorted());
    const raw = await readFile(written[0] ?? "", "utf8");
    const { headers, text } = readMail(raw);
    expect(headers.get("to")).toBe(MAIL.to);
    expect(headers.get("subject")).toBe(MAIL.subject);
    expect(text).toBe(MAIL.text);
    expect(raw).toContain(`\n${MAIL.text}`); // also for who reads it without a mail program
    expect((await stat(written[0] ?? "")).mode & 0o077).toBe(0);
    expect((await stat(path)).mode & 0o077).toBe(0);
  });

  test("that cannot be made is a final fault, and makes no folder above it", async () => {
    const transport = createFolderTransport({ path: join(folder, "no/where"), from: FROM, onWritten: () => {} });
    expect(await faultOf(transport.check())).toBe("final ENOENT");
    expect(await faultOf(transport.send(MAIL, newMailId()))).toBe("final ENOENT");
  });
});
