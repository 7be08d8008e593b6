/** A refusal is known in the step in which it is given, so what comes after it can be held back [MSG-5]. */
import { expect, test } from "bun:test";
import type { AppendOutcome, EventLog } from "../../src/conversations/event_log.ts";
import {
  createAccounts,
  createConversation,
  createLogDatabase,
  holdHead,
  message,
  openLog,
} from "./event_log_support.ts";

test("submit() settles all that is refused before any reaction to an answer can append again", async () => {
  await using database = await createLogDatabase();
  const [ann] = await createAccounts(database.db, 1);
  if (ann === undefined) throw new Error("There is nobody");
  const conversation = await createConversation(database.db, [ann]);
  await using log: EventLog = openLog(database.db, { limits: { deadlineMs: 400 } });
  const steps: string[] = [];
  await using _held = await holdHead(database.db, conversation);
  const refused = async (name: string) => {
    const { status } = await new Promise<AppendOutcome>((resolve) => {
      log.submit(message(conversation, ann, name), (outcome) => {
        steps.push(`${name} settled`);
        resolve(outcome);
      });
    });
    steps.push(`${name} answered ${status}`);
  };
  await Promise.all([refused("first"), refused("second")]);
  // Both refusals stand before the first reaction runs.
  expect(steps).toEqual(["first settled", "second settled", "first answered busy", "second answered busy"]);
});

test("submit() settles what it does not take before it returns", async () => {
  await using database = await createLogDatabase();
  const [ann] = await createAccounts(database.db, 1);
  if (ann === undefined) throw new Error("There is nobody");
  const conversation = await createConversation(database.db, [ann]);
  await using log: EventLog = openLog(database.db, { limits: { queueEvents: 1 }, lanes: 1 });
  const taken = log.append(message(conversation, ann, "taken"));
  const settled: string[] = [];
  log.submit(message(conversation, ann, "too many"), ({ status }) => settled.push(status));
  expect(settled).toEqual(["overloaded"]);
  expect(await taken).toMatchObject({ status: "stored" });
});
