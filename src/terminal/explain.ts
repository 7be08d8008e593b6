/** What went wrong, as a sentence for the person at the terminal. */
import { SottoError } from "../client/mod.ts";

const SENTENCES: Readonly<Record<string, string>> = {
  network: "No connection to the server: try again when there is one",
  timeout: "The server did not answer in time: try again",
  no_public_key: "They have published no key yet, so nothing can be encrypted for them",
  key_changed: "Their key is another one than before: compare fingerprints (/who), then /trust NAME",
  invalid_credentials: "That name and password do not belong together",
  not_found: "It is not there any more",
  outbox_full: "Too many messages wait: send more when there is a connection",
};

/** The sentence for an error. */
export function explain(error: unknown): string {
  if (!(error instanceof SottoError)) return error instanceof Error ? error.message : String(error);
  return SENTENCES[error.code] ?? error.message;
}
