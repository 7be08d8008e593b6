import type { z } from "zod";
import { insertFirstKey, parsePublicKey } from "../keys/mod.ts";
import { AccountId, DomainError, type SignUpBody, uuidv7 } from "../protocol/mod.ts";
import { acceptPassword } from "./accept_password.ts";
import { insertAccount } from "./accounts_store.ts";
import { verifyNewAddress } from "./ask_for_link.ts";
import { retiredNameHash } from "./close_account.ts";
import { isNameRetired } from "./departures_store.ts";
import type { AccountDeps } from "./deps.ts";
import { getMe, type UserAnswer } from "./get_me.ts";
import type { MailLanguage } from "./mail_texts.ts";
import { foldName, normalizePassword } from "./names.ts";
import { answerWithTokens, startSession, type TokenAnswer } from "./start_session.ts";

/** What {@link signUp} is asked. */
export type SignUpInput = z.infer<typeof SignUpBody> & {
  /** Where the request came from, for throttling. */
  readonly address: string;
  /** Whether a weak password is refused or only advised against. */
  readonly strength: "rule" | "advice";
  /** Of the mail that verifies the address; standard English. */
  readonly language?: MailLanguage;
};

/** What {@link signUp} did. */
export interface SignUpResult {
  readonly answer: { readonly user: UserAnswer } & TokenAnswer;
  /** Why the password is weak, where `strength` is `advice`; else empty. */
  readonly advice: readonly string[];
}

/**
 * Makes an account and signs it in. Account, key, device and session are one transaction. An e-mail
 * address is sent a link to verify it.
 *
 * - A taken name or address is told, for the caller has to choose another: slowly, for the throttle counts first.
 *
 * Throws `weak_password`, `bad_public_key`, `private_key_refused`, `username_taken`, `email_taken`,
 * `rate_limited`, and `overloaded` when too many passwords are being hashed.
 */
export async function signUp(deps: AccountDeps, input: SignUpInput): Promise<SignUpResult> {
  const key = input.public_key === undefined ? null : parsePublicKey(input.public_key);
  await deps.throttle.take(["sign_up_address", input.address], ["sign_up_everybody", ""]);
  const advice = acceptPassword(deps, { password: input.password, owner: input, strength: input.strength });
  const passwordHash = await deps.passwords.hashPassword(normalizePassword(input.password));
  const now = deps.clock.now();
  const accountId = AccountId.parse(uuidv7(now));
  const session = await deps.db.transaction(async (tx) => {
    if (await isNameRetired(tx, retiredNameHash(deps, input.username), now)) throw new DomainError("username_taken");
    const inserted = await insertAccount(tx, {
      id: accountId,
      username: input.username,
      usernameKey: foldName(input.username),
      email: input.email ?? null,
      emailKey: input.email === undefined ? null : foldName(input.email),
      displayName: input.display_name ?? null,
      displayNameKey: input.display_name === undefined ? null : foldName(input.display_name),
      passwordHash,
      now,
    });
    if (inserted !== "stored") throw new DomainError(inserted);
    if (key !== null) await insertFirstKey(tx, { accountId, key, now });
    return startSession(deps, tx, { accountId, device_name: input.device_name, platform: input.platform });
  });
  if (input.email !== undefined) verifyNewAddress(deps, accountId, input.language ?? "en");
  const user = await getMe(deps, { accountId });
  return { answer: { user, ...(await answerWithTokens(deps, session)) }, advice };
}
