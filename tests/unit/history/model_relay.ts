/** The relay's contract of the model: messages that wait until they are confirmed, one by one. */
import type { ConversationId, MessageId } from "../../../src/protocol/mod.ts";
import type { Operation } from "../../support/history/history.ts";
import type { Model, Person } from "./model.ts";

/** Sends a message in a dm that is there. */
export function relay(model: Model, from: Person, to: Person, conversation: ConversationId): Operation<"relay"> {
  const { account, session } = from;
  const { id, body } = model.store(conversation, from);
  const asked = { account, session, node: "1", recipient: to.account, body: body ?? "" };
  const operation = model.history.begin("relay", asked);
  model.pass();
  operation.ok({ id });
  model.pass();
  return operation;
}

/** Confirms a message. */
export function confirm(model: Model, { account, session }: Person, message: MessageId): void {
  const operation = model.history.begin("confirm", { account, session, node: "1", message });
  model.pass();
  model.marks.confirmed.add(`${account} ${message}`);
  operation.ok(null);
  model.pass();
}

/** Lists what waits for somebody in a dm. */
export function inbox(
  model: Model,
  { account, session }: Person,
  conversation: ConversationId,
  node: string,
): Operation<"inbox"> {
  const operation = model.history.begin("inbox", { account, session, node });
  model.pass();
  const waiting = model
    .entriesOf(conversation)
    .filter(
      ({ kind, id, sender }) =>
        kind === "message" && sender !== account && !model.marks.confirmed.has(`${account} ${id}`),
    );
  const messages = waiting.map(({ id, sender, createdAt, body }) => ({ id, sender, createdAt, body: body ?? "" }));
  operation.ok({ messages, whole: true });
  model.pass();
  return operation;
}
