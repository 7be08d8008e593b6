/**
 * The authorisation matrix: for every route and every frame type what each of the nine actors gets.
 *
 * A route of `/openapi.json` or a frame type without a row fails the test. To add one: a request as
 * the right actor would send it, and what everybody gets for it. `missing` is the same request for
 * something that does not exist: whoever may not know that the real thing exists must get the same
 * answer for both, byte for byte but for the request's id.
 */
import type { ClientFrame } from "../../src/protocol/mod.ts";
import { newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { type Actor, newPublicKey, type World } from "./world.ts";

/** What is sent; `{}` is a body too. */
export interface Try {
  readonly path: string;
  readonly body?: object;
}

/** What each actor gets: a status, and the code of a refusal. */
export type Outcomes = Readonly<Record<Actor, string>>;

/** One route. */
export interface Row {
  readonly send: (world: World) => Try;
  readonly outcomes: Outcomes;
  readonly missing?: (world: World) => Try;
  /** It ends sessions: it is tried among people of its own, and each actor signs in anew. */
  readonly endsSessions?: boolean;
}

/** One frame type. Outcomes: the type of the answer, `error <code>`, `closed <close code>` or `nothing`. */
export interface FrameRow {
  readonly send: (world: World) => object;
  readonly outcomes: Outcomes;
  readonly missing?: (world: World) => object;
}

const REFUSED = { anonymous: "401 unauthorized", expired: "401 token_expired", revoked: "401 unauthorized" } as const;
const CLOSED = { anonymous: "closed 4401", expired: "closed 4401", revoked: "closed 4401" } as const;

function everybody(outcome: string): Outcomes {
  const signedIn = { other: outcome, nonMember: outcome, former: outcome, member: outcome, admin: outcome };
  return { ...signedIn, otherDevice: outcome, anonymous: outcome, expired: outcome, revoked: outcome };
}

const signedIn = (outcome: string): Outcomes => ({ ...everybody(outcome), ...REFUSED });
const strangers = (outcome: string) => ({ other: outcome, nonMember: outcome, former: outcome });
const own = (outcome: string): Outcomes => ({
  ...signedIn("403 forbidden"),
  ...{ member: outcome, otherDevice: outcome },
});
const members = (outcome: string, stranger = "404 conversation_not_found"): Outcomes => ({
  ...signedIn(outcome),
  ...strangers(stranger),
});

const NO_MESSAGE = "404 message_not_found";
const at = (path: string, body?: object) => () => (body === undefined ? { path } : { path, body });
const password = "a pass phrase of the matrix 91";
const newName = () => `matrix-${crypto.randomUUID().slice(0, 13)}`;

/** The routes, as `/openapi.json` names them. */
export const ROUTES: Readonly<Record<string, Row>> = {
  // For everybody.
  "GET /": { send: at("/"), outcomes: everybody("200") },
  "GET /health": { send: at("/health"), outcomes: everybody("200") },
  "GET /ready": { send: at("/ready"), outcomes: everybody("200") },
  "GET /metrics": { send: at("/metrics"), outcomes: everybody("200") }, // the test is on the server's machine
  "GET /docs": { send: at("/docs"), outcomes: everybody("200") },
  "GET /docs/{file}": { send: at("/docs/swagger-ui.css"), outcomes: everybody("200") },
  "GET /redoc": { send: at("/redoc"), outcomes: everybody("200") },
  "GET /docs/sockets": { send: at("/docs/sockets"), outcomes: everybody("200") },
  "GET /asyncapi.json": { send: at("/asyncapi.json"), outcomes: everybody("200") },
  "GET /openapi.json": { send: at("/openapi.json"), outcomes: everybody("200") },
  // Who comes with a socket is judged there; see FRAMES.
  "GET /ws": { send: at("/ws"), outcomes: everybody("426 upgrade_required") },
  "GET /ws/public/{channel}": { send: at("/ws/public/announcements"), outcomes: everybody("426 upgrade_required") },
  "GET /ws/{user_id}/{session_id}": {
    send: ({ nothing }) => ({ path: `/ws/${nothing}/${nothing}` }),
    outcomes: everybody("426 upgrade_required"),
  },
  "GET /ws/chat": { send: at("/ws/chat"), outcomes: everybody("426 upgrade_required") },

  // The room is for everybody who is signed in.
  "GET /api/chat/messages": { send: at("/api/chat/messages"), outcomes: signedIn("200") },

  // What is sent decides, not who sends it.
  "POST /api/auth/signup": {
    send: () => ({ path: "/api/auth/signup", body: { username: newName(), password } }),
    outcomes: everybody("201"),
  },
  "POST /api/auth/signin": {
    send: ({ cast }) => ({ path: "/api/auth/signin", body: { username: cast.people.member.name, password } }),
    missing: () => ({ path: "/api/auth/signin", body: { username: newName(), password } }),
    outcomes: everybody("401 invalid_credentials"),
  },
  "POST /api/auth/register": {
    send: () => ({ path: "/api/auth/register", body: { username: newName(), password: "SecurePass123" } }),
    outcomes: everybody("201"),
  },
  "POST /api/auth/login": {
    send: ({ cast }) => ({ path: "/api/auth/login", body: { username: cast.people.member.name, password } }),
    missing: () => ({ path: "/api/auth/login", body: { username: newName(), password } }),
    outcomes: everybody("401 invalid_credentials"),
  },
  "POST /api/auth/refresh": {
    send: at("/api/auth/refresh", { refresh_token: "A".repeat(91) }),
    outcomes: everybody("401 unauthorized"),
  },
  "POST /api/auth/password-reset": {
    send: at("/api/auth/password-reset", { email: "nobody@example.org" }),
    outcomes: everybody("202"),
  },
  "POST /api/auth/password-reset/verify": {
    send: at("/api/auth/password-reset/verify", { token: "A".repeat(43), new_password: password }),
    outcomes: everybody("401 link_invalid"),
  },
  "POST /api/auth/magic-link": {
    send: at("/api/auth/magic-link", { email: "nobody@example.org" }),
    outcomes: everybody("202"),
  },
  "POST /api/auth/magic-link/verify": {
    send: at("/api/auth/magic-link/verify", { token: "A".repeat(43) }),
    outcomes: everybody("401 link_invalid"),
  },
  "POST /api/auth/email/verify": {
    send: at("/api/auth/email/verify", { token: "A".repeat(43) }),
    outcomes: everybody("401 link_invalid"),
  },
  "POST /register": {
    send: () => ({ path: "/register", body: { name: newName(), password, public_key: newPublicKey() } }),
    outcomes: everybody("201"),
  },
  "POST /login": {
    send: ({ cast }) => ({ path: "/login", body: { name: cast.people.member.name, password } }),
    missing: () => ({ path: "/login", body: { name: newName(), password } }),
    outcomes: everybody("401 invalid_credentials"),
  },

  // One's own.
  "GET /api/auth/me": { send: at("/api/auth/me"), outcomes: signedIn("200") },
  "GET /me": { send: at("/me"), outcomes: signedIn("200") },
  "POST /api/auth/ws-ticket": { send: at("/api/auth/ws-ticket", {}), outcomes: signedIn("200") },
  "POST /api/auth/signout": { send: at("/api/auth/signout", {}), outcomes: signedIn("204"), endsSessions: true },
  "GET /api/auth/sessions": { send: at("/api/auth/sessions"), outcomes: signedIn("200") },
  "DELETE /api/auth/sessions": { send: at("/api/auth/sessions"), outcomes: signedIn("200"), endsSessions: true },
  "DELETE /api/auth/sessions/{session_id}": {
    send: ({ cast }) => ({ path: `/api/auth/sessions/${cast.people.member.sessionId}` }),
    missing: ({ nothing }) => ({ path: `/api/auth/sessions/${nothing}` }),
    // When the other device comes, the member has ended it.
    outcomes: { ...signedIn("404 not_found"), member: "204" },
    endsSessions: true,
  },
  "POST /api/auth/change-password": {
    // The password of nobody: the rights are those of who knows it.
    send: at("/api/auth/change-password", { current_password: password, new_password: `${password}!` }),
    outcomes: signedIn("403 wrong_password"),
  },
  "POST /api/auth/email": {
    send: at("/api/auth/email", { email: "new@example.org", password }),
    outcomes: signedIn("403 wrong_password"),
  },
  "POST /api/auth/email/verification": {
    send: at("/api/auth/email/verification", {}),
    outcomes: signedIn("202"),
  },
  "PUT /update-key": {
    send: () => ({ path: "/update-key", body: { public_key: newPublicKey() } }),
    outcomes: signedIn("200"),
  },

  "POST /api/auth/export": {
    send: at("/api/auth/export", { password }),
    outcomes: signedIn("403 wrong_password"),
  },
  "POST /api/auth/delete-account": {
    send: at("/api/auth/delete-account", { password }),
    outcomes: signedIn("403 wrong_password"),
  },
  "PUT /api/users/{id}": {
    send: ({ cast }) => ({ path: `/api/users/${cast.people.member.id}`, body: { status: "away" } }),
    missing: ({ nothing }) => ({ path: `/api/users/${nothing}`, body: { status: "away" } }),
    outcomes: own("200"),
  },
  "GET /api/users/{id}/private-key": {
    // The member keeps none: the others do not get as far as that.
    send: ({ cast }) => ({ path: `/api/users/${cast.people.member.id}/private-key` }),
    missing: ({ nothing }) => ({ path: `/api/users/${nothing}/private-key` }),
    outcomes: own("404 not_found"),
  },
  "PUT /api/users/{id}/private-key": {
    send: ({ cast }) => ({
      path: `/api/users/${cast.people.member.id}/private-key`,
      body: { private_key_encrypted: "c2VhbGVk" },
    }),
    missing: ({ nothing }) => ({
      path: `/api/users/${nothing}/private-key`,
      body: { private_key_encrypted: "c2VhbGVk" },
    }),
    outcomes: own("428 precondition_required"),
  },
  // About somebody with whom the caller shares nothing but the server.
  "POST /api/reports": {
    send: ({ guest }) => ({ path: "/api/reports", body: { user_id: guest, reason: "spam" } }),
    outcomes: signedIn("201"),
  },
  // Nobody here administers the server, not even who made the group.
  "GET /api/admin/reports": { send: at("/api/admin/reports"), outcomes: signedIn("403 forbidden") },
  "GET /api/admin/reports/{id}": {
    send: ({ cast }) => ({ path: `/api/admin/reports/${cast.reported}` }),
    missing: ({ nothing }) => ({ path: `/api/admin/reports/${nothing}` }),
    outcomes: signedIn("403 forbidden"),
  },
  "POST /api/admin/reports/{id}/close": {
    send: ({ cast }) => ({ path: `/api/admin/reports/${cast.reported}/close`, body: { outcome: "dismissed" } }),
    missing: ({ nothing }) => ({ path: `/api/admin/reports/${nothing}/close`, body: { outcome: "dismissed" } }),
    outcomes: signedIn("403 forbidden"),
  },
  "GET /api/blocks": { send: at("/api/blocks"), outcomes: signedIn("200") },

  // Everybody's who is signed in.
  "GET /api/users": { send: at("/api/users?q=a"), outcomes: signedIn("200") },
  "GET /api/users/{id}": {
    send: ({ cast }) => ({ path: `/api/users/${cast.people.admin.id}` }),
    outcomes: signedIn("200"),
  },
  "POST /api/users/{id}/block": {
    send: ({ guest }) => ({ path: `/api/users/${guest}/block` }),
    outcomes: signedIn("204"),
  },
  "DELETE /api/users/{id}/block": {
    send: ({ guest }) => ({ path: `/api/users/${guest}/block` }),
    outcomes: signedIn("204"),
  },
  "GET /api/users/{id}/public-key": {
    send: ({ cast }) => ({ path: `/api/users/${cast.people.admin.id}/public-key` }),
    outcomes: signedIn("200"),
  },
  "GET /public-key/{user_id}": {
    send: ({ cast }) => ({ path: `/public-key/${cast.people.admin.id}` }),
    outcomes: signedIn("200"),
  },

  // Conversations.
  "GET /api/conversations": { send: at("/api/conversations"), outcomes: signedIn("200") },
  "POST /api/conversations": {
    send: ({ guest }) => ({
      path: "/api/conversations",
      body: { conversation_type: "group", name: "Mine", participant_ids: [guest] },
    }),
    outcomes: signedIn("201"),
  },
  "GET /api/conversations/{id}": {
    send: ({ group }) => ({ path: `/api/conversations/${group}` }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}` }),
    outcomes: members("200"),
  },
  "PUT /api/conversations/{id}": {
    send: ({ group }) => ({ path: `/api/conversations/${group}`, body: { name: "Renamed" } }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}`, body: { name: "Renamed" } }),
    outcomes: { ...members("403 forbidden"), admin: "200" },
  },
  "DELETE /api/conversations/{id}": {
    send: ({ group }) => ({ path: `/api/conversations/${group}` }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}` }),
    outcomes: { ...members("403 use_leave"), admin: "204" },
  },
  "PUT /api/conversations/{id}/settings": {
    send: ({ group }) => ({ path: `/api/conversations/${group}/settings`, body: { pinned: true } }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}/settings`, body: { pinned: true } }),
    outcomes: members("200"),
  },
  "GET /api/conversations/{id}/participants": {
    send: ({ group }) => ({ path: `/api/conversations/${group}/participants` }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}/participants` }),
    outcomes: members("200"),
  },
  "PUT /api/conversations/{id}/participants/{user_id}": {
    send: ({ group, bystander }) => ({
      path: `/api/conversations/${group}/participants/${bystander}`,
      body: { role: "admin" },
    }),
    missing: ({ nothing, bystander }) => ({
      path: `/api/conversations/${nothing}/participants/${bystander}`,
      body: { role: "admin" },
    }),
    outcomes: { ...members("403 forbidden"), admin: "200" },
  },
  "GET /api/conversations/{id}/messages": {
    send: ({ group }) => ({ path: `/api/conversations/${group}/messages` }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}/messages` }),
    outcomes: members("200"),
  },
  "POST /api/conversations/{id}/messages": {
    send: ({ group }) => ({ path: `/api/conversations/${group}/messages`, body: { encrypted_content: "QUJD" } }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}/messages`, body: { encrypted_content: "QUJD" } }),
    outcomes: members("201"),
  },
  "POST /api/conversations/{id}/participants": {
    send: ({ group, guest }) => ({ path: `/api/conversations/${group}/participants`, body: { user_id: guest } }),
    missing: ({ nothing, guest }) => ({ path: `/api/conversations/${nothing}/participants`, body: { user_id: guest } }),
    outcomes: { ...members("403 forbidden"), admin: "201" },
  },
  // The channel is private: whoever is not in it gets what an unknown one gets, and so does whoever would join.
  "POST /api/conversations/{id}/join": {
    send: ({ channel }) => ({ path: `/api/conversations/${channel}/join`, body: {} }),
    missing: ({ nothing }) => ({ path: `/api/conversations/${nothing}/join`, body: {} }),
    outcomes: members("200"),
  },
  "POST /api/announcements": { send: at("/api/announcements", { content: "x" }), outcomes: signedIn("403 forbidden") },
  "GET /api/channels": { send: at("/api/channels"), outcomes: signedIn("200") },
  "GET /api/channels/{channel}": {
    send: ({ slug }) => ({ path: `/api/channels/${slug}` }),
    missing: () => ({ path: "/api/channels/there-is-none" }),
    outcomes: signedIn("404 conversation_not_found"),
  },
  "POST /api/channels/{channel}/join": {
    send: ({ slug }) => ({ path: `/api/channels/${slug}/join`, body: {} }),
    missing: () => ({ path: "/api/channels/there-is-none/join", body: {} }),
    outcomes: signedIn("404 conversation_not_found"),
  },
  "DELETE /api/conversations/{id}/participants/{user_id}": {
    send: ({ group, bystander }) => ({ path: `/api/conversations/${group}/participants/${bystander}` }),
    missing: ({ nothing, bystander }) => ({ path: `/api/conversations/${nothing}/participants/${bystander}` }),
    outcomes: { ...members("403 forbidden"), admin: "204" },
  },

  // Messages: what the admin said in the group, and what the member did.
  "PUT /api/messages/{id}": {
    send: ({ ownSaid }) => ({ path: `/api/messages/${ownSaid}`, body: { encrypted_content: "QUJD" } }),
    missing: () => ({ path: `/api/messages/${newMessageId()}`, body: { encrypted_content: "QUJD" } }),
    outcomes: { ...members("403 forbidden", NO_MESSAGE), member: "200", otherDevice: "200" },
  },
  "DELETE /api/messages/{id}": {
    send: ({ said }) => ({ path: `/api/messages/${said}` }),
    missing: () => ({ path: `/api/messages/${newMessageId()}` }),
    outcomes: { ...members("403 forbidden", NO_MESSAGE), admin: "204" },
  },
  "POST /api/messages/{id}/reactions": {
    send: ({ said }) => ({ path: `/api/messages/${said}/reactions`, body: { emoji: "👍" } }),
    missing: () => ({ path: `/api/messages/${newMessageId()}/reactions`, body: { emoji: "👍" } }),
    outcomes: members("201", NO_MESSAGE),
  },
  "DELETE /api/messages/{id}/reactions/{emoji}": {
    send: ({ said }) => ({ path: `/api/messages/${said}/reactions/${encodeURIComponent("👍")}` }),
    missing: () => ({ path: `/api/messages/${newMessageId()}/reactions/${encodeURIComponent("👍")}` }),
    outcomes: members("204", NO_MESSAGE),
  },
  "GET /api/messages/hidden": { send: at("/api/messages/hidden"), outcomes: signedIn("200") },

  // The relay: what was sent to the member.
  "POST /messages": {
    send: ({ guest }) => ({ path: "/messages", body: { recipient_id: guest, encrypted_data: "QUJD" } }),
    outcomes: signedIn("201"),
  },
  "GET /messages": { send: at("/messages"), outcomes: signedIn("200") },
  "PUT /messages/{id}/delivered": {
    send: ({ relayed }) => ({ path: `/messages/${relayed}/delivered`, body: {} }),
    missing: ({ nothing }) => ({ path: `/messages/${nothing}/delivered`, body: {} }),
    outcomes: { ...signedIn("404 not_found"), member: "200", otherDevice: "200" },
  },
};

const signedInOnSocket = (outcome: string): Outcomes => ({ ...everybody(outcome), ...CLOSED });
const notFound = strangers("error conversation_not_found");

/** The frames, by type. */
export const FRAMES: Readonly<Record<ClientFrame["type"], FrameRow>> = {
  authenticate: {
    // With the token of another session of the member. Who has not said yet who it is, is whose token it shows.
    send: ({ cast }) => ({ type: "authenticate", token: cast.people.member.token }),
    outcomes: { ...signedInOnSocket("closed 4403"), anonymous: "welcome" },
  },
  ping: { send: () => ({ type: "ping" }), outcomes: signedInOnSocket("pong") },
  message: {
    send: ({ group }) => ({ type: "message", id: newMessageId(), conversation_id: group, encrypted_content: "QUJD" }),
    missing: ({ nothing }) => ({
      ...{ type: "message", id: newMessageId(), conversation_id: nothing },
      encrypted_content: "QUJD",
    }),
    outcomes: { ...signedInOnSocket("receipt"), ...notFound },
  },
  reaction: {
    send: ({ group, said }) => ({
      ...{ type: "reaction", id: newMessageId(), conversation_id: group, message_id: said, emoji: "👍" },
    }),
    missing: ({ group }) => ({
      ...{ type: "reaction", id: newMessageId(), conversation_id: group, message_id: newMessageId(), emoji: "👍" },
    }),
    outcomes: { ...signedInOnSocket("receipt"), ...strangers("error message_not_found") },
  },
  message_ack: {
    // Beyond what was sent to anybody, so that the answer is not by chance that of a member.
    send: ({ group }) => ({ type: "message_ack", conversation_id: group, seq: 1_000 }),
    missing: ({ nothing }) => ({ type: "message_ack", conversation_id: nothing, seq: 1_000 }),
    outcomes: signedInOnSocket("error ack_ahead"),
  },
  message_read: {
    send: ({ group }) => ({ type: "message_read", conversation_id: group, seq: 1 }),
    missing: ({ nothing }) => ({ type: "message_read", conversation_id: nothing, seq: 1 }),
    outcomes: { ...signedInOnSocket("nothing"), ...notFound },
  },
  typing_start: {
    send: ({ group }) => ({ type: "typing_start", conversation_id: group }),
    missing: ({ nothing }) => ({ type: "typing_start", conversation_id: nothing }),
    outcomes: { ...signedInOnSocket("nothing"), ...notFound },
  },
  typing_stop: {
    send: ({ group }) => ({ type: "typing_stop", conversation_id: group }),
    missing: ({ nothing }) => ({ type: "typing_stop", conversation_id: nothing }),
    outcomes: { ...signedInOnSocket("nothing"), ...notFound },
  },
  key_exchange: {
    // Whoever is signed in may hand something to anybody whom they know of, as they may begin a dm with them.
    send: ({ guest }) => ({ type: "key_exchange", id: newMessageId(), to_user_id: guest, payload: "QUJD" }),
    outcomes: signedInOnSocket("key_exchange_stored"),
  },
  key_exchange_ack: {
    // Beyond what was sent to anybody.
    send: () => ({ type: "key_exchange_ack", seq: 1_000 }),
    missing: () => ({ type: "key_exchange_ack", seq: 1_001 }),
    outcomes: signedInOnSocket("error ack_ahead"),
  },
  presence_update: {
    send: () => ({ type: "presence_update", status: "away" }),
    outcomes: signedInOnSocket("nothing"),
  },
  resume: {
    send: ({ group }) => ({ type: "resume", cursors: { [group]: 0 } }),
    missing: () => ({ type: "resume", cursors: { [uuidv7()]: 0 } }),
    outcomes: signedInOnSocket("caught_up"),
  },
};
