/**
 * Who and what the authorisation matrix is about: the nine actors, and for each try that changes
 * something a group of its own, so that it does not show in another's answer.
 */
import { generateKeyPairSync } from "node:crypto";
import type { AccountId, ConversationId, DeviceId, MessageId } from "../../src/protocol/mod.ts";
import { uuidv7 } from "../../src/protocol/mod.ts";
import {
  type HttpAnswer,
  type Person,
  startApp,
  TEST_SECRET,
  type TestApp,
  type TestAppOptions,
} from "../support/app.ts";
import { TestMailServer } from "../support/mail_server.ts";
import { tokenForge } from "../support/token_forge.ts";

/** The nine. All but the first two are signed in, or were. */
export const ACTORS = [
  "anonymous",
  /** The member, with a token that has ended. */
  "expired",
  /** Has to do with the member elsewhere, in a dm of the two. */
  "other",
  /** Has to do with nobody. */
  "nonMember",
  /** Was in the group. */
  "former",
  "member",
  /** Made the group. */
  "admin",
  /** The member, on a device whose session was ended. */
  "revoked",
  /** The member, on another device. */
  "otherDevice",
] as const;
/** One of them. */
export type Actor = (typeof ACTORS)[number];

/** The people behind them, for the whole run. */
export interface Cast {
  readonly server: TestApp;
  readonly people: Readonly<
    Record<"other" | "nonMember" | "former" | "member" | "admin" | "bystander" | "guest", Person>
  >;
  /** A report of the guest to the administrators of the server. */
  readonly reported: string;
  /** The device that each actor tries from, and who is signed in there with which token. */
  readonly devices: Map<Actor, DeviceId>;
  readonly sessions: Map<Actor, Pick<World, "self" | "token">>;
}

/** What one try is made on. */
export interface Things {
  /** A group of admin, member and bystander; former was in it. */
  readonly group: ConversationId;
  /** What the admin said in the group, and the member. */
  readonly said: MessageId;
  readonly ownSaid: MessageId;
  /** A private channel of admin and member, and its address; former was in it. */
  readonly channel: ConversationId;
  readonly slug: string;
  /** A relay message from admin to member. */
  readonly relayed: MessageId;
  /** In the group, and to be removed from it. */
  readonly bystander: AccountId;
  /** To be added. */
  readonly guest: AccountId;
  /** An id that nothing has. */
  readonly nothing: string;
}

/** One try: what it is made on, and by whom. */
export interface World extends Things {
  readonly cast: Cast;
  /** Who tries, by the session that it has in this cast; `null` for the anonymous. */
  readonly self: Person | null;
  /** What the actor sends as its access token; `null`: nothing. */
  readonly token: string | null;
}

/** Starts a server that sends its mails, should there be any, to a mail server of the test. */
export async function startWorld(options: TestAppOptions = {}): Promise<TestApp> {
  const mails = await TestMailServer.start();
  const env = { SMTP_URL: mails.url, MAIL_FROM: "chat@example.org", ...options.env };
  const server = await startApp({ ...options, env });
  return {
    ...server,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await mails[Symbol.asyncDispose]();
    },
  };
}

/** Signs everybody up. */
export async function castOf(server: TestApp): Promise<Cast> {
  const names = ["other", "nonMember", "former", "member", "admin", "bystander", "guest"] as const;
  const people = await Promise.all(names.map(async (name) => [name, await server.person()] as const));
  const byName = Object.fromEntries(people) as Cast["people"];
  const reported = { user_id: byName.guest.id, reason: "spam" };
  const cast = {
    server,
    people: byName,
    reported: must(await byName.bystander.request("POST", "/api/reports", reported)).json.id,
    devices: new Map(),
    sessions: new Map(),
  };
  await cast.people.other.dm(cast.people.member);
  for (const person of [cast.people.member, cast.people.admin])
    must(await person.request("PUT", "/update-key", { public_key: newPublicKey() }));
  return cast;
}

/** Makes what tries are made on; those that change it need one each. */
export async function thingsFor({ people }: Cast): Promise<Things> {
  const { admin, member, former, bystander, guest } = people;
  const group = await admin.group([member, former, bystander]);
  const say = async (who: Person): Promise<MessageId> =>
    must(await who.request("POST", `/api/conversations/${group}/messages`, { encrypted_content: "c2VjcmV0" })).json.id;
  const [said, ownSaid] = [await say(admin), await say(member)];
  must(await admin.request("DELETE", `/api/conversations/${group}/participants/${former.id}`));
  const slug = `private-${crypto.randomUUID().slice(0, 13)}`;
  const ids = [member.id, former.id];
  const made = { conversation_type: "channel", name: "Ours", channel: slug, participant_ids: ids };
  const channel = must(await admin.request("POST", "/api/conversations", made)).json.id;
  must(await admin.request("DELETE", `/api/conversations/${channel}/participants/${former.id}`));
  const sent = must(await admin.request("POST", "/messages", { recipient_id: member.id, encrypted_data: "c2VjcmV0" }));
  const rest = { bystander: bystander.id, guest: guest.id, nothing: uuidv7() };
  return { group, said, ownSaid, channel, slug, relayed: sent.json.id, ...rest };
}

/** Prepares one try. */
export async function worldFor(cast: Cast, actor: Actor, things?: Things): Promise<World> {
  const known = cast.sessions.get(actor);
  const self = known?.self ?? (await personFor(cast, actor));
  const token = known?.token ?? (await tokenFor(actor, self));
  cast.sessions.set(actor, { self, token });
  return { cast, ...(things ?? (await thingsFor(cast))), self, token };
}

/**
 * Signs the actor in, on a device that is this actor's alone: so the try has a session of its own, and
 * that of the cast lives on.
 */
async function personFor({ people, devices }: Cast, actor: Actor): Promise<Person | null> {
  if (actor === "anonymous") return null;
  const isMember = actor === "expired" || actor === "revoked" || actor === "otherDevice";
  const person = isMember ? people.member : people[actor];
  const deviceId = devices.get(actor);
  const signedIn = await person.signIn(deviceId === undefined ? {} : { deviceId });
  devices.set(actor, signedIn.deviceId);
  return signedIn;
}

async function tokenFor(actor: Actor, self: Person | null): Promise<string | null> {
  if (self === null) return null;
  const now = Math.floor(Date.now() / 1_000);
  if (actor === "expired") {
    return tokenForge(self.token, TEST_SECRET).sign({ change: { iat: now - 120, nbf: undefined, exp: now - 60 } });
  }
  if (actor === "revoked") must(await self.request("POST", "/api/auth/signout", {}));
  return self.token;
}

/** A public key as PEM that nobody has. */
export function newPublicKey(): string {
  return generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
}

function must(answer: HttpAnswer): HttpAnswer {
  if (answer.status >= 300) throw new Error(`Prepare: ${answer.status} ${JSON.stringify(answer.json)}`);
  return answer;
}
