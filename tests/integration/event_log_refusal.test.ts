/** A refusal is known in the step in which it is given, so what comes after it can be held back [MSG-5]. */
import { expect, test } from "bun:test";
import type { EventLog } from "../../src/conversations/event_log.ts";
import {
  createAccounts,
  createConversation,
  createLogDatabase,
  holdHead,
  message,
  openLog,
} from "./event_log_support.ts";

test("append() calls onRefused before any reaction to its answer can append again", async () => {
  await using database = await createLogDatabase();
  const [ann] = await createAccounts(database.db, 1);
  if (ann === undefined) throw new Error("There is nobody");
  const conversation = await createConversation(database.db, [ann]);
  await using log: EventLog = openLog(database.db, { limits: { deadlineMs: 400 } });
  const steps: string[] = [];
  await using _held = await holdHead(database.db, conversation);
  const refused = (name: string) =>
    log
      .append(message(conversation, ann, name, { onRefused: () => steps.push(`${name} refused`) }))
      .then(({ status }) => steps.push(`${name} answered ${status}`));
  await Promise.all([refused("first"), refused("second")]);
  // Both refusals stand before the first reaction runs.
  expect(steps).toEqual(["first refused", "second refused", "first answered busy", "second answered busy"]);
});

test("append() calls onRefused for what it does not take", async () => {
  await using database = await createLogDatabase();
  const [ann] = await createAccounts(database.db, 1);
  if (ann === undefined) throw new Error("There is nobody");
  const conversation = await createConversation(database.db, [ann]);
  await using log: EventLog = openLog(database.db, { limits: { queueEvents: 1 }, lanes: 1 });
  let refusals = 0;
  const send = (text: string) => log.append(message(conversation, ann, text, { onRefused: () => refusals++ }));
  const [first, second] = await Promise.all([send("taken"), send("too many")]);
  expect([first?.status, second?.status, refusals]).toEqual(["stored", "overloaded", 1]);
});
