/**
 * `npm run demo`: an encrypted conversation, the bytes that the server keeps of it, and a server that
 * is killed in the middle. Every line with a check mark was checked; the exit code is 0 only if all were.
 *
 * It needs nothing but this checkout. Whatever happens, it leaves no process and no file behind.
 */
import pg from "pg";
import {
  type ClientEvent,
  DecryptionError,
  decrypt,
  fingerprintOf,
  generatePemKeys,
  type PemKeys,
  type ReadableMessage,
  type Receipt,
  SottoClient,
} from "../src/client/mod.ts";
import type { AccountId, ConversationId } from "../src/protocol/mod.ts";
import { DemoServer } from "./demo/demo_server.ts";
import { holdsAny, searchFolder } from "./demo/search_folder.ts";
import { ClaimFailed, Stage, until } from "./demo/stage.ts";

/** In every message, and nowhere else in the world: whoever finds it has read a message. */
const SECRET = `moonquake-${crypto.randomUUID().slice(-12)}`;
const LETTERS = ["Meet me at nine", "Where the ferry used to stop", "Bring the blue folder"];
const STREAM = 150;
const KILL_AFTER = 50;
const WAIT_MS = 20_000;

/** One of the two people: a client, and everything it was shown. */
interface Person {
  readonly name: string;
  readonly keys: PemKeys;
  readonly client: SottoClient;
  readonly id: AccountId;
  readonly seen: ReadableMessage[];
  /** How often its connection was lost. */
  readonly losses: () => number;
}

const stage = new Stage(process.stdout, process.env["NO_COLOR"]);
const server = await DemoServer.prepare();
let interrupted = 0;
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => {
    interrupted = code;
    void server[Symbol.asyncDispose]().finally(() => process.exit(code));
  });
}
const outcome = await main();
process.exit(interrupted || outcome);

async function main(): Promise<number> {
  const started = performance.now();
  try {
    stage.title("Sotto: an encrypted conversation, and a server that dies in the middle");
    await tell();
  } catch (error) {
    if (interrupted !== 0) return interrupted; // the server was taken away under the story
    stage.failed(
      error instanceof ClaimFailed ? `Not true: ${error.message}` : `The demo itself failed: ${String(error)}`,
    );
    if (!(error instanceof ClaimFailed)) console.error(error);
    return 1;
  } finally {
    await server[Symbol.asyncDispose]();
  }
  stage.end(
    `${stage.claims} claims, all checked, in ${Math.round((performance.now() - started) / 100) / 10} s. Nothing is left behind.`,
  );
  return 0;
}

async function tell(): Promise<void> {
  await startServer();
  const alice = await meet("Alice");
  await using _alice = alice.client;
  const bob = await meet("Bob");
  await using _bob = bob.client;
  await showKeys(alice, bob);
  const conversation = await talk(alice, bob);
  await showRow(conversation, bob);
  await searchEverywhere(bob);
  const receipts = await streamThroughACrash(conversation, alice, bob);
  await showOrder(conversation, receipts, bob);
  await showTampering(conversation, bob);
  await searchAgain();
}

async function startServer(): Promise<void> {
  stage.step("A real server, with a real Postgres of its own");
  await server.start();
  stage.claim(`process ${server.pid} answers at ${server.url}`, server.pid > 0);
}

async function meet(name: string): Promise<Person> {
  const keys = await generatePemKeys();
  let losses = 0;
  const client = await SottoClient.signUp(server.url, {
    username: `${name.toLowerCase()}-of-the-demo`,
    password: `violet-harbour-${crypto.randomUUID()}`,
    keys,
    onStatus: (status) => {
      if (status.state === "waiting" && status.reason !== "network") losses++;
    },
  });
  client.connect();
  const seen: ReadableMessage[] = [];
  void collect(client.events(), seen);
  await until(() => client.status.state === "live", { what: `${name} is connected`, ms: WAIT_MS });
  return { name, keys, client, id: client.session.userId, seen, losses: () => losses };
}

async function collect(events: AsyncIterable<ClientEvent>, into: ReadableMessage[]): Promise<void> {
  for await (const event of events) if (event.type === "message") into.push(event);
}

async function showKeys(alice: Person, bob: Person): Promise<void> {
  stage.step("Two people, each with an RSA key pair that never leaves them");
  for (const [person, other] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const { public_key: held, fingerprint } = await other.client.api.publicKey(person.id);
    const same = (await fingerprintOf(held)) === (await fingerprintOf(person.keys.publicKey));
    stage.claim(`the server holds ${person.name}'s public key, ${fingerprint.slice(0, 16)}…`, same);
  }
}

async function talk(alice: Person, bob: Person): Promise<ConversationId> {
  stage.step("Alice encrypts and signs (JWE in JWS), Bob verifies and decrypts");
  const { id, encryption } = await alice.client.api.createConversation({
    conversation_type: "dm",
    participant_ids: [bob.id],
  });
  stage.claim("the server was told to keep ciphertext only", encryption === "opaque");
  const receipts: Receipt[] = [];
  for (const letter of LETTERS) receipts.push(await alice.client.send(id, plaintext(letter)));
  stage.claim(
    `${receipts.length} messages are committed, numbered ${receipts.map(({ seq }) => seq).join(", ")}`,
    isDense(receipts),
  );
  await until(() => bob.seen.length === LETTERS.length, { what: "Bob receives the messages", ms: WAIT_MS });
  const read = bob.seen.map(({ text }) => text);
  stage.claim("Bob reads exactly what Alice wrote, signed by Alice", sameList(read, LETTERS.map(plaintext)));
  stage.quote(read.map((text) => String(text)));
  return id;
}

async function showRow(conversation: ConversationId, bob: Person): Promise<void> {
  stage.step("What the server keeps of it, read with SQL behind its back");
  const first = bob.seen[0];
  if (first === undefined) throw new ClaimFailed("Bob has a message");
  const [row] = await sql<{ seq: number; body: Buffer }>(
    "select seq::int, body from events where conversation = $1 and id = $2",
    [conversation, first.id],
  );
  if (row === undefined) throw new ClaimFailed("The message is a row in the table of events");
  const body = row.body.toString("latin1");
  stage.claim(
    `row ${row.seq} of the conversation holds ${row.body.length} bytes and no word of the text`,
    !holdsAny(body, [SECRET]),
  );
  stage.quote([0, 1, 2].map((line) => body.slice(40 + line * 70, 110 + line * 70)).concat("…"));
  stage.claim("they are what Bob received and could decrypt", body.includes(first.encrypted_content ?? "nothing"));
}

async function searchEverywhere(bob: Person): Promise<void> {
  stage.step("A search through everything the server wrote");
  await sql("checkpoint"); // so that the tables' own files are up to date, not only the write-ahead log
  const ciphertext = (bob.seen[0]?.encrypted_content ?? "").slice(-160, -100);
  for (const [what, text] of [
    ["Bob's user name", "bob-of-the-demo"],
    ["a piece of a ciphertext", ciphertext],
  ] as const) {
    const { hits } = await searchFolder(server.dataDir, [text]);
    stage.claim(`the search works: ${what} is found in ${hits.length} files`, text.length > 10 && hits.length > 0);
  }
  const { files, bytes, hits } = await searchFolder(server.dataDir, [SECRET, ...LETTERS]);
  const size = `${files} files, ${Math.round(bytes / 1024 / 1024)} MiB`;
  stage.claim(
    `the messages are found nowhere in ${size}: tables, indexes, write-ahead log`,
    files > 100 && hits.length === 0,
  );
  const logged = server.log.split("\n").length - 1;
  stage.claim(
    `nor in the ${logged} lines the server printed at its most talkative`,
    server.log.includes("Sotto is ready") && !leaks(),
  );
}

async function streamThroughACrash(conversation: ConversationId, alice: Person, bob: Person): Promise<Receipt[]> {
  stage.step(`Alice sends ${STREAM} more; after ${KILL_AFTER} receipts the server is killed with -9`);
  const before = bob.seen.length;
  let answered = 0;
  const killed = Promise.withResolvers<void>();
  const sends = Array.from({ length: STREAM }, async (_, i) => {
    const receipt = await alice.client.send(conversation, plaintext(streamed(i)));
    if (++answered === KILL_AFTER) killed.resolve(server.kill());
    return receipt;
  });
  const all = Promise.all(sends);
  all.catch(() => {}); // awaited below
  const outcome = await Promise.race([killed.promise.then(() => "killed"), deadline(WAIT_MS)]);
  stage.claim("the process died of SIGKILL", outcome === "killed" && server.endedBy === "SIGKILL");
  const [atDeath, readAtDeath] = [answered, bob.seen.length - before];
  stage.claim(
    `by then ${atDeath} were acknowledged, and ${STREAM - atDeath} were not`,
    atDeath >= KILL_AFTER && atDeath < STREAM,
  );
  const [kept] = await sql<{ count: number }>("select count(*)::int from events where conversation = $1 and kind = 1", [
    conversation,
  ]);
  const stored = (kept?.count ?? 0) - before;
  stage.claim(`with the server dead, ${stored} are in the table: all the acknowledged ones`, stored >= atDeath);
  await until(() => [alice, bob].every(({ client }) => client.status.state !== "live"), {
    what: "Both lose their connection",
    ms: WAIT_MS,
  });
  const dead = server.pid;
  await server.start();
  stage.claim(`a new process, ${server.pid}, serves the same folder`, server.pid !== dead);
  const receipts = await Promise.race([all, deadline(WAIT_MS)]);
  if (receipts === undefined) throw new ClaimFailed("Every message gets its receipt after the restart");
  stage.claim(
    "Alice's client came back by itself, and every message has its receipt",
    receipts.length === STREAM && alice.losses() > 0,
  );
  await until(() => bob.seen.length >= before + STREAM, { what: "Bob catches up", ms: WAIT_MS });
  stage.claim(
    `Bob's client came back too: ${readAtDeath} read before, ${bob.seen.length - before} now`,
    bob.losses() > 0 && readAtDeath < STREAM,
  );
  return receipts;
}

async function showOrder(conversation: ConversationId, receipts: readonly Receipt[], bob: Person): Promise<void> {
  stage.step("Nothing lost, nothing twice, nothing out of order");
  const expected = [...LETTERS, ...Array.from({ length: STREAM }, (_, i) => streamed(i))].map(plaintext);
  stage.claim(
    `Bob has ${bob.seen.length} messages, each once`,
    new Set(bob.seen.map(({ id }) => id)).size === expected.length && bob.seen.length === expected.length,
  );
  stage.claim(
    "each decrypted and verified, in the order Alice wrote them",
    bob.seen.every(({ fault }) => fault === null) &&
      sameList(
        bob.seen.map(({ text }) => text),
        expected,
      ),
  );
  stage.claim("the receipts' numbers have no gap", isDense(receipts) && isDense(bob.seen));
  const rows = await sql<{ seq: number; id: string }>(
    "select seq::int, id from events where conversation = $1 and kind = 1 order by seq",
    [conversation],
  );
  const agree =
    rows.length === bob.seen.length &&
    rows.every(({ seq, id }, i) => bob.seen[i]?.seq === seq && bob.seen[i]?.id === id);
  stage.claim(`and the table has exactly these ${rows.length} rows, with these numbers`, agree);
}

async function showTampering(conversation: ConversationId, bob: Person): Promise<void> {
  stage.step("A copy that was tampered with is refused");
  const [first, second] = bob.seen;
  if (first?.encrypted_content === undefined || second === undefined) throw new ClaimFailed("Bob has two messages");
  const text = first.encrypted_content;
  const at = Math.floor(text.length / 2);
  const changed = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
  const context = { senderId: first.sender_id, conversationId: conversation, id: first.id };
  const elsewhere = { ...context, conversationId: crypto.randomUUID() as ConversationId };
  const attempts = [
    ["the original still opens, so the next three mean something", text, context, "none"],
    [`one of ${text.length} characters changed`, changed, context, "bad_signature"],
    ["the same ciphertext moved to another conversation", text, elsewhere, "wrong_conversation"],
    ["the same ciphertext shown again as another message", text, { ...context, id: second.id }, "wrong_message"],
  ] as const;
  const { public_key: key } = await bob.client.api.publicKey(first.sender_id);
  for (const [what, copy, where, expected] of attempts) {
    const fault = await decrypt(copy, { keys: bob.keys, senderKeys: [key], context: where }).then(
      (opened) => (opened === first.text ? "none" : "other text"),
      (error: unknown) => (error instanceof DecryptionError ? error.fault : String(error)),
    );
    stage.claim(expected === "none" ? what : `${what}: ${expected}`, fault === expected);
  }
}

async function searchAgain(): Promise<void> {
  stage.step("The search once more, after crash and recovery");
  const { files, hits } = await searchFolder(server.dataDir, [SECRET]);
  stage.claim(
    `nothing readable in ${files} files, nor in the log of both processes`,
    files > 100 && hits.length === 0 && !leaks(),
  );
}

/** One statement on a connection of the demo's own. */
async function sql<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: await server.databaseUrl(), query_timeout: WAIT_MS });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

function plaintext(text: string): string {
  return `${text} [${SECRET}]`;
}

function streamed(i: number): string {
  return `Page ${i + 1} of ${STREAM}`;
}

function leaks(): boolean {
  return holdsAny(server.log, [SECRET, ...LETTERS]);
}

function isDense(places: readonly { readonly seq: number }[]): boolean {
  return places.every(({ seq }, i) => i === 0 || seq === (places[i - 1]?.seq ?? 0) + 1);
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

async function deadline(ms: number): Promise<undefined> {
  await Bun.sleep(ms);
  return undefined;
}
