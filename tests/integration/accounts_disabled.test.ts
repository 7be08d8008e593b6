/** What a disabled account, and one whose password an administrator replaced, leaves of links that were mailed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createLink } from "../../src/accounts/links.ts";
import type { LinkPurpose } from "../../src/accounts/mail_links_store.ts";
import { type AdministrationDeps, disableUser, enableUser, resetPassword } from "../../src/administration/mod.ts";
import type { AccountId } from "../../src/protocol/mod.ts";
import { type Edge, signUpSomebody, startEdge } from "../support/edge_server.ts";

let edge: Edge;
let administration: AdministrationDeps;
beforeAll(async () => {
  edge = await startEdge();
  administration = { db: edge.db, clock: edge.clock, passwords: edge.accounts.passwords };
});
afterAll(() => edge[Symbol.asyncDispose]());

const actor = { kind: "cli", name: "operator" } as const;
const PURPOSES = ["sign_in", "reset_password", "verify_email"] as const;
let people = 0;

async function somebody() {
  const email = `mailed${++people}@example.org`;
  const { user, username } = await signUpSomebody(edge, { email });
  const accountId = user.id as AccountId;
  const link = (purpose: LinkPurpose) => createLink(edge.accounts, { accountId, purpose, email, by: { email } });
  const links = Object.fromEntries(await Promise.all(PURPOSES.map(async (purpose) => [purpose, await link(purpose)])));
  return { username, link, links: links as Record<LinkPurpose, string | null> };
}

/** Redeems a link of each purpose; the codes of the refusals, or `ok`. */
async function redeem(links: Record<LinkPurpose, string | null>): Promise<string[]> {
  const token = (purpose: LinkPurpose) => links[purpose]?.split("#token=")[1] ?? "";
  const answers = [
    await edge.request("POST", "/api/auth/magic-link/verify", { body: { token: token("sign_in") } }),
    await edge.request("POST", "/api/auth/password-reset/verify", {
      body: { token: token("reset_password"), new_password: "another good pass phrase" },
    }),
    await edge.request("POST", "/api/auth/email/verify", { body: { token: token("verify_email") } }),
  ];
  return answers.map(({ status, json }) => (status < 300 ? "ok" : json.error.code));
}

test("links work while nothing was done, so the refusals below are for what was done", async () => {
  const { links } = await somebody();
  expect((await redeem({ ...links, reset_password: null }))[0]).toBe("ok");
});

test("disabling voids links on their way, also once the account is enabled, and none is made meanwhile", async () => {
  const { username, link, links } = await somebody();
  await disableUser(administration, { actor, user: username });
  expect(await redeem(links)).toEqual(["link_invalid", "link_invalid", "link_invalid"]);
  for (const purpose of PURPOSES) expect(await link(purpose)).toBeNull();
  await enableUser(administration, { actor, user: username });
  expect(await redeem(links)).toEqual(["link_invalid", "link_invalid", "link_invalid"]);
  expect(await link("sign_in")).not.toBeNull();
});

test("a password that is replaced voids links on their way: whoever reads the old mail does not come in", async () => {
  const { username, links } = await somebody();
  await resetPassword(administration, { actor, user: username });
  expect(await redeem(links)).toEqual(["link_invalid", "link_invalid", "link_invalid"]);
});

test("a sign-in whose password is replaced while it is checked does not begin", async () => {
  const { username, password } = await signUpSomebody(edge);
  const tries = Array.from({ length: 8 }, () =>
    edge.request("POST", "/api/auth/signin", { body: { username, password } }),
  );
  await resetPassword(administration, { actor, user: username });
  for (const { status, json } of await Promise.all(tries)) {
    if (status !== 200) continue;
    const body = { refresh_token: json.refresh_token };
    expect((await edge.request("POST", "/api/auth/refresh", { body })).status).toBe(401);
  }
});
