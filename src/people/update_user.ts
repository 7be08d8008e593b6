import type { z } from "zod";
import { foldName } from "../accounts/mod.ts";
import { type AccountId, DomainError, type UpdateUserBody } from "../protocol/mod.ts";
import type { PeopleDeps } from "./deps.ts";
import { setDisplayName, writeProfile } from "./profiles_store.ts";

/** Changes what somebody says of themselves. Throws `unauthorized` where the account is gone. */
export async function updateUser(
  deps: PeopleDeps,
  input: z.infer<typeof UpdateUserBody> & { readonly id: AccountId },
): Promise<void> {
  const { id, display_name: name, privacy } = input;
  await deps.db.transaction(async (tx) => {
    const there = await writeProfile(tx, {
      id,
      chosenStatus: input.status ?? null,
      lastSeenTo: privacy?.last_seen ?? null,
      findable: privacy?.findable ?? null,
      readReceipts: privacy?.read_receipts ?? null,
      now: deps.clock.now(),
    });
    if (!there) throw new DomainError("unauthorized");
    if (name !== undefined) await setDisplayName(tx, { id, name, key: name === null ? null : foldName(name) });
  });
}
