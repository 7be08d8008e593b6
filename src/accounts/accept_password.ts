import { DomainError } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { normalizePassword } from "./names.ts";
import { adviseOnPassword, type PasswordOwner } from "./password_rules.ts";

/**
 * Judges a password that somebody chooses, and gives why it is weak where that is only `advice`.
 *
 * Throws `weak_password` with `details.advice`, sentences for the person: of one that is shorter than the
 * operator asks for, and where strength is a `rule`, of one that is easily guessed.
 */
export function acceptPassword(
  deps: Pick<AccountDeps, "passwordLeast">,
  input: { readonly password: string; readonly owner: PasswordOwner; readonly strength: "rule" | "advice" },
): readonly string[] {
  const { length } = [...normalizePassword(input.password)];
  if (length < deps.passwordLeast) refuse([`Use at least ${deps.passwordLeast} characters`]);
  const advice = adviseOnPassword(input.password, input.owner);
  if (input.strength === "rule" && advice.length > 0) refuse(advice);
  return advice;
}

function refuse(advice: readonly string[]): never {
  throw new DomainError("weak_password", { details: { advice } });
}
