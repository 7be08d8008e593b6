/** What people ask over HTTP, each request written down as an operation of the history. */
import { type AccountId, type ConversationId, type MessageId, newMessageId } from "../../src/protocol/mod.ts";
import { bodyOf, entryOf } from "../support/history/entry.ts";
import type { History, Operation, PageInput } from "../support/history/history.ts";
import type { Frame } from "../support/peer.ts";
import type { Account, Device, Identity, ServingNode } from "./device.ts";
import { ask, type WebAnswer } from "./web.ts";

/** Who asks which node, and where it is written down. */
export interface Asking {
  readonly history: History;
  readonly device: Device;
  readonly node: ServingNode;
}

/** A message that is sent over HTTP. */
export interface Posted {
  readonly id: MessageId;
  readonly conversation: ConversationId;
  readonly text: string;
}

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

/** Reads a page of a log. */
export async function readPage(
  { history, device, node }: Asking,
  page: Pick<PageInput, "conversation" | "direction" | "seq">,
  limit: number,
): Promise<void> {
  const operation = history.begin("page", { ...asked(device, node), ...page });
  const place = page.seq === null ? "" : `&${page.direction}_seq=${page.seq}`;
  const path = `/api/conversations/${page.conversation}/messages?limit=${limit}${place}`;
  settle(operation, await asDevice(device, node, "GET", path), ({ messages, next, previous }) => ({
    ...{ entries: messages.map(entryOf), next, previous },
  }));
}

/** Reads the list of the account's conversations. */
export async function readList({ history, device, node }: Asking): Promise<void> {
  const operation = history.begin("snapshot", asked(device, node));
  settle(operation, await asDevice(device, node, "GET", "/api/conversations?limit=200"), ({ conversations }) =>
    conversations.map((summary: Frame) => ({
      conversation: summary.id,
      lastSeq: summary.last_seq,
      participants: summary.participant_ids,
      messages: summary.message_count,
    })),
  );
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
    const answer = await ask({ url: node.url, method: "POST", path, body: { username: name, password: PASSWORD } });
    if (answer.type !== "ok") throw new Error(`Sign up: ${JSON.stringify(answer)}`);
    const { user, device_id: device, session_id: session, access_token: token } = answer.json;
    id = user?.id ?? id;
    identities.push({ device, session, token });
  }
  return { account: { id, name, password: PASSWORD }, identities };
}

function asked({ account, identity }: Device, node: ServingNode) {
  return { account: account.id, session: identity.session, node: node.name };
}

function asDevice(
  { identity }: Device,
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
