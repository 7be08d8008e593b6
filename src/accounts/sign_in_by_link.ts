import { DomainError } from "../protocol/mod.ts";
import { lockAccount, setVerifiedEmail } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { readLink } from "./links.ts";
import { deleteLinks, takeLink } from "./mail_links_store.ts";
import { foldName } from "./names.ts";
import type { SignInResult } from "./sign_in.ts";
import { answerWithTokens, type DeviceInput, startSession } from "./start_session.ts";

/**
 * Opens a session for who got the link, which shows that the address is theirs. It is a session like any
 * other; what needs the password again needs it here too, and keys stay as they are.
 *
 * - Of any number at once one wins. The account's other links to sign in are void then.
 * - A device of another account is refused, and leaves the link as it was.
 *
 * Throws `link_invalid`, `account_disabled`, and `bad_request` for a device of another account.
 */
export async function signInByLink(
  deps: AccountDeps,
  input: DeviceInput & { readonly token: string },
): Promise<SignInResult> {
  const { accountId, email, hash } = await readLink(deps, input.token, "sign_in");
  const { device_id, device_name, platform } = input;
  const session = await deps.db.transaction(async (tx) => {
    await lockAccount(tx, accountId);
    if (!(await takeLink(tx, hash))) throw new DomainError("link_invalid");
    await setVerifiedEmail(tx, { id: accountId, email, emailKey: foldName(email), now: deps.clock.now() });
    await deleteLinks(tx, accountId, "sign_in");
    return startSession(deps, tx, { accountId, device_id, device_name, platform });
  });
  deps.liveness.drop(session.ended);
  return { answer: await answerWithTokens(deps, session), accountId, ended: session.ended };
}
