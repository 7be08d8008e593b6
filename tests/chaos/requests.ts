/** What people ask over HTTP, each request written down as an operation of the history. */
import { type AccountId, type ConversationId, type MessageId, newMessageId } from "../../src/protocol/mod.ts";
import { bodyOf, entryOf } from "../support/history/entry.ts";
import type { AnyOperation, History, Operation, PageInput, SettingsInput, Status } from "../support/history/history.ts";
import type { Frame } from "../support/peer.ts";
import type { Account, Device, Identity, ServingNode } from "./device.ts";
import { ask, type WebAnswer } from "./web.ts";

/** Who asks which node, and where it is written down. */
export interface Asking {
  readonly history: History;
  readonly device: Pick<Device, "id" | "account" | "identity">;
  readonly node: ServingNode;
}

/** A message that is sent over HTTP. */
export interface Posted {
  readonly id: MessageId;
  readonly conversation: ConversationId;
  readonly text: string;
}

/** How often somebody signs up again where the server had no room. */
const TRIES = 5;
/** Messages of one list of what waits. */
const INBOX = 100;
const PASSWORD = "violet-harbour-93-lantern";

/** A message that nobody sent before. */
export function newPost(conversation: ConversationId, text: string): Posted {
  return { id: newMessageId(), conversation, text };
}

/** Sends a message once; false where nobody knows what came of it. */
export async function post({ history, device, node }: Asking, { id, conversation, text }: Posted): Promise<boolean> {
  const content = { encrypted_content: text };
  const operation = history.send({
    ...{ ...asked(device, node), device: device.id, conversation, id, body: bodyOf(content) },
    ...{ via: null, ordered: false }, // beside what the device sends over its socket
  });
  const body = { id, ...content };
  const answer = await asDevice(device, node, "POST", `/api/conversations/${conversation}/messages`, body);
  settle(operation, answer, ({ seq, created_at }) => ({ seq, createdAt: Date.parse(created_at), inOrder: false }));
  return answer.type !== "unknown";
}

/** Reads a page of a log; gives what was written down of it. */
export async function readPage(
  { history, device, node }: Asking,
  page: Pick<PageInput, "conversation" | "direction" | "seq">,
  limit: number,
): Promise<AnyOperation> {
  const operation = history.begin("page", { ...asked(device, node), ...page });
  const place = page.seq === null ? "" : `&${page.direction}_seq=${page.seq}`;
  const path = `/api/conversations/${page.conversation}/messages?limit=${limit}${place}`;
  settle(operation, await asDevice(device, node, "GET", path), ({ messages, next, previous }) => ({
    ...{ entries: messages.map(entryOf), next, previous, statuses: statusesOf(messages) },
  }));
  return operation as AnyOperation;
}

function statusesOf(messages: readonly Frame[]): Map<number, Status> {
  return new Map(messages.filter(({ status }) => status !== undefined).map(({ seq, status }) => [seq, status]));
}

/** Reads the list of the account's conversations; gives what was written down of it. */
export async function readList({ history, device, node }: Asking): Promise<AnyOperation> {
  const operation = history.begin("snapshot", asked(device, node));
  settle(operation, await asDevice(device, node, "GET", "/api/conversations?limit=200"), ({ conversations }) =>
    conversations.map((summary: Frame) => ({
      conversation: summary.id,
      lastSeq: summary.last_seq,
      participants: summary.participant_ids,
      messages: summary.message_count,
      ...{ first: summary.first_seq, read: summary.read_seq, unread: summary.unread_count },
    })),
  );
  return operation as AnyOperation;
}

/** Sets whether the account gives and gets read marks, or whether it shows to nobody how it is. */
export async function changeSettings(
  { history, device, node }: Asking,
  settings: Pick<SettingsInput, "readReceipts" | "hidden">,
): Promise<void> {
  const { readReceipts, hidden } = settings;
  const operation = history.begin("settings", { ...asked(device, node), ...settings });
  const privacy = {
    ...(readReceipts === undefined ? {} : { read_receipts: readReceipts }),
    ...(hidden === undefined ? {} : { last_seen: hidden ? "nobody" : "contacts" }),
  };
  settle(operation, await asDevice(device, node, "PUT", `/api/users/${device.account.id}`, { privacy }), () => null);
}

/** Sends to an account by the relay's contract, once; false where nobody knows what came of it. */
export async function relay(
  { history, device, node }: Asking,
  { recipient, data, key }: { readonly recipient: AccountId; readonly data: string; readonly key: string },
): Promise<boolean> {
  const body = bodyOf({ encrypted_content: data });
  const operation = history.begin("relay", { ...asked(device, node), recipient, body });
  const { token } = device.identity;
  const answer = await ask({
    ...{ url: node.url, method: "POST", path: "/messages", token, headers: { "idempotency-key": key } },
    body: { recipient_id: recipient, encrypted_data: data },
  });
  settle(operation, answer, ({ id }) => ({ id }));
  return answer.type !== "unknown";
}

/** Lists what waits for the account by the relay's contract; gives the ids. */
export async function readInbox({ history, device, node }: Asking): Promise<readonly MessageId[]> {
  const operation = history.begin("inbox", asked(device, node));
  const answer = await asDevice(device, node, "GET", `/messages?limit=${INBOX}`);
  settle(operation, answer, ({ messages, next }) => ({
    messages: messages.map((message: Frame) => ({
      ...{ id: message.id, sender: message.sender_id, createdAt: Date.parse(message.timestamp) },
      body: bodyOf({ encrypted_content: message.encrypted_data }),
    })),
    whole: next === null,
  }));
  return answer.type === "ok" ? answer.json.messages.map(({ id }: Frame) => id) : [];
}

/** Confirms one message by the relay's contract. */
export async function confirm({ history, device, node }: Asking, message: MessageId): Promise<void> {
  const operation = history.begin("confirm", { ...asked(device, node), message });
  settle(operation, await asDevice(device, node, "PUT", `/messages/${message}/delivered`), () => null);
}

/** Adds somebody to a group, or removes somebody (or leaves). */
export async function changeMembers(
  { history, device, node }: Asking,
  { change, conversation, account }: { change: "add" | "remove"; conversation: ConversationId; account: AccountId },
): Promise<void> {
  const operation = history.begin("membership", {
    ...{ ...asked(device, node), change, conversation, accounts: [account] },
  });
  const path = `/api/conversations/${conversation}/participants`;
  const answer =
    change === "add"
      ? await asDevice(device, node, "POST", path, { user_id: account })
      : await asDevice(device, node, "DELETE", `${path}/${account}`);
  settle(operation, answer, () => ({ conversation }));
}

/** Blocks somebody, or ends that. */
export async function changeBlock(
  { history, device, node }: Asking,
  { change, whom }: { change: "block" | "unblock"; whom: AccountId },
): Promise<void> {
  const operation = history.begin("block", { ...asked(device, node), change, whom });
  const method = change === "block" ? "POST" : "DELETE";
  settle(operation, await asDevice(device, node, method, `/api/users/${whom}/block`), () => null);
}

/** A message that was seen. */
export interface Said {
  readonly conversation: ConversationId;
  readonly id: MessageId;
  readonly sender: AccountId;
}

/** Edits a message; again on failure it would be another edit, so it is asked once. */
export async function editMessage({ history, device, node }: Asking, said: Said, text: string): Promise<void> {
  const content = { encrypted_content: text };
  const id = newMessageId();
  const operation = history.begin("change", {
    ...{ ...asked(device, node), conversation: said.conversation, message: said.id },
    ...{ what: "edit", id, said: bodyOf(content), emoji: null },
  });
  settle(operation, await asDevice(device, node, "PUT", `/api/messages/${said.id}`, { id, ...content }), () => null);
}

/** Deletes a message for all. */
export async function deleteMessage({ history, device, node }: Asking, said: Said): Promise<void> {
  const operation = history.begin("change", {
    ...{ ...asked(device, node), conversation: said.conversation, message: said.id },
    ...{ what: "delete", id: null, said: null, emoji: null },
  });
  settle(operation, await asDevice(device, node, "DELETE", `/api/messages/${said.id}`), () => null);
}

/** Reacts to a message, or takes that back. */
export async function reactTo(
  { history, device, node }: Asking,
  said: Said,
  { emoji, what }: { readonly emoji: string; readonly what: "react" | "unreact" },
): Promise<void> {
  const operation = history.begin("change", {
    ...{ ...asked(device, node), conversation: said.conversation, message: said.id },
    ...{ what, id: null, said: null, emoji },
  });
  const path = `/api/messages/${said.id}/reactions`;
  const answer =
    what === "react"
      ? await asDevice(device, node, "POST", path, { emoji })
      : await asDevice(device, node, "DELETE", `${path}/${encodeURIComponent(emoji)}`);
  settle(operation, answer, () => null);
}

/** Opens a conversation; throws where that does not work. */
export async function openConversation(
  { history, device, node }: Asking,
  type: "dm" | "group",
  others: readonly AccountId[],
): Promise<ConversationId> {
  const operation = history.begin("membership", {
    ...{ ...asked(device, node), change: "create", conversation: null, accounts: [device.account.id, ...others] },
  });
  const name = type === "group" ? { name: "A group" } : {};
  const body = { conversation_type: type, participant_ids: others, ...name };
  const answer = await asDevice(device, node, "POST", "/api/conversations", body);
  settle(operation, answer, ({ id }) => ({ conversation: id }));
  if (answer.type !== "ok") throw new Error(`Open a conversation: ${JSON.stringify(answer)}`);
  return answer.json.id;
}

/** Signs somebody up, and in on every further device; throws where that does not work. */
export async function signUp(
  node: ServingNode,
  name: string,
  devices: number,
): Promise<{ readonly account: Account; readonly identities: readonly Identity[] }> {
  const identities: Identity[] = [];
  let id = "" as AccountId;
  for (let i = 0; i < devices; i++) {
    const path = i === 0 ? "/api/auth/signup" : "/api/auth/signin";
    const request = { url: node.url, method: "POST", path, body: { username: name, password: PASSWORD } };
    let answer = await ask(request);
    // So many at once may be too many for a machine that is busy.
    for (let more = TRIES; more > 0 && answer.type === "refused" && answer.retryable; more--)
      answer = await ask(request);
    if (answer.type !== "ok") throw new Error(`Sign up: ${JSON.stringify(answer)}`);
    const { user, device_id: device, session_id: session, access_token: token } = answer.json;
    id = user?.id ?? id;
    identities.push({ device, session, token });
  }
  return { account: { id, name, password: PASSWORD }, identities };
}

function asked({ account, identity }: Asking["device"], node: ServingNode) {
  return { account: account.id, session: identity.session, node: node.name };
}

function asDevice(
  { identity }: Asking["device"],
  { url }: ServingNode,
  method: string,
  path: string,
  body?: object,
): Promise<WebAnswer> {
  return ask({ url, method, path, token: identity.token, ...(body === undefined ? {} : { body }) });
}

function settle<Kind extends Parameters<History["begin"]>[0]>(
  operation: Operation<Kind>,
  answer: WebAnswer,
  // biome-ignore lint/suspicious/noExplicitAny: the body as it came.
  read: (json: any) => Parameters<Operation<Kind>["ok"]>[0],
): void {
  if (answer.type === "ok") operation.ok(read(answer.json));
  else if (answer.type === "refused") operation.refused(answer.code, answer.retryable);
  else operation.unknown(answer.why);
}
