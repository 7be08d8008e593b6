/** docs/administration.md shows what happens: every command in it is run, in its order, and answers as it says. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { STARTING_MS } from "../spec/support.ts";
import { runAdmin } from "../support/admin.ts";
import { type Person, request, startApp, TEST_ENCRYPTION_KEYS, type TestApp } from "../support/app.ts";

let folder: string;
let server: TestApp;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sotto-admin-"));
  server = await startApp({ slowPasswords: true });
}, STARTING_MS);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, STARTING_MS);

interface Step {
  readonly words: readonly string[];
  readonly answer: string;
}

/** The commands of the page's transcripts, each with what the page says it answers. */
function stepsOf(page: string): Step[] {
  const transcripts = [...page.matchAll(/```console\n(.*?)```/gs)].map((found) => found[1] ?? "");
  return transcripts.flatMap((text) =>
    text
      .split(/^\$ npm run -s admin -- /m)
      .slice(1)
      .map((step) => {
        const [command = "", ...lines] = step.split("\n");
        const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map((word) => word[1] ?? word[2] ?? "");
        return { words, answer: lines.join("\n") };
      }),
  );
}

/** Without what differs from run to run: ids, times, passwords, sizes, names of users of the machine, widths of columns. */
function comparable(text: string): string {
  return text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "ID")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/\d{4}-\d\d-\d\d/g, "DAY")
    .replace(/\b([a-z2-9]{5}-){3}[a-z2-9]{5}\b/g, "SECRET")
    .replace(/\b[0-9a-f]{64}\b/g, "HASH")
    .replace(/\d+\.\d MB/g, "SIZE")
    .replace(/cli:\S+/g, "cli:WHO")
    .replace(/ +/g, " ")
    .trim();
}

/** What the page's report is about: Mallory writes to Ben, who shows administrators what his device decrypted. */
async function reported(mallory: Person, ben: { readonly id: string; readonly token: string }): Promise<void> {
  const dm = { conversation_type: "dm", participant_ids: [ben.id] };
  const { id } = (await mallory.request("POST", "/api/conversations", dm)).json;
  const said = await mallory.request("POST", `/api/conversations/${id}/messages`, { encrypted_content: "c2VhbGVk" });
  const report = {
    ...{ user_id: mallory.id, conversation_id: id, reason: "abuse", note: "She does not stop" },
    messages: [{ message_id: said.json.id, text: "I know where you live" }],
  };
  expect((await request(server.url, "POST", "/api/reports", report, ben.token)).status).toBe(201);
}

test("every transcript of docs/administration.md is what the commands answer", async () => {
  const body = {
    username: "ben",
    password: "correct horse battery staple",
    device_name: "Ben's phone",
    platform: "ios",
  };
  const ben = await request(server.url, "POST", "/api/auth/signup", body);
  expect(ben.status).toBe(201);
  await reported(await server.person("mallory"), { id: ben.json.user.id, token: ben.json.access_token });
  const steps = stepsOf(await readFile(join(import.meta.dir, "../../docs/administration.md"), "utf8"));
  expect(steps.length).toBeGreaterThan(12);
  const env = { DATABASE_URL: server.database.url, DATA_DIR: folder, ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS };
  for (const { words, answer } of steps) {
    const { out, err } = await runAdmin(env, words);
    expect({ words, answer: comparable(err + out) }).toEqual({ words, answer: comparable(answer) });
  }
}, 90_000);
