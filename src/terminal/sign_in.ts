/** From a profile to a signed-in client: at once where a session is kept, else by questions. */
import {
  type ClientOptions,
  type Credentials,
  fingerprintOf,
  generatePemKeys,
  type PemKeys,
  registerForRoom,
  SottoClient,
  SottoError,
} from "../client/mod.ts";
import { type Arguments, serverAddress, UsageError } from "./arguments.ts";
import { cleanText } from "./clean_text.ts";
import { type Dialog, DialogEnded } from "./dialog.ts";
import { explain } from "./explain.ts";
import type { Profile } from "./profile.ts";

/** What signing in needs. */
export interface SignInOptions {
  readonly profile: Profile;
  readonly given: Arguments;
  readonly dialog: Dialog;
  /** For the client that is made. */
  readonly client: Omit<ClientOptions, "keys" | "onSession">;
}

/** Who signs in, and where. */
export interface Account {
  readonly client: SottoClient;
  readonly server: string;
  readonly username: string;
}

const STANDARD_SERVER = "http://127.0.0.1:8000";

/**
 * Gives a client that is signed in and not connected yet. Throws {@link UsageError} where the options name
 * somebody else than the profile, and {@link DialogEnded} where the person gives up.
 */
export async function signIn(options: SignInOptions): Promise<Account> {
  const { profile, given } = options;
  const { content } = profile;
  if (content === null) return firstTime(options);
  const { server, username } = content;
  if ((given.server ?? server) !== server || (given.user ?? username) !== username) {
    throw new UsageError(`Choose another --profile: this one is ${username} at ${server}`);
  }
  if (!content.signedIn) return again(options);
  const client = await SottoClient.resume(server, content.session, {
    ...options.client,
    keys: content.keys,
    onSession: (session) => profile.keepSession(session),
  });
  return { client, server, username };
}

async function firstTime({ given, dialog, profile, client }: SignInOptions): Promise<Account> {
  dialog.say("Welcome. This client encrypts on this machine; your private key stays on it.");
  const server = given.server ?? (await askServer(dialog));
  for (;;) {
    const way = await dialog.choose("(r)egister or (s)ign in?", ["register", "sign in"]);
    const username = given.user ?? (await dialog.ask("User name:")).trim();
    const password = await dialog.ask("Password:", { secret: true });
    if (way === "register" && (await dialog.ask("Password again:", { secret: true })) !== password) {
      dialog.say("Those were two different passwords", "warn");
      continue;
    }
    try {
      dialog.say("Making your key pair …", "dim");
      const keys = await generatePemKeys();
      const options = { ...client, username, password, keys };
      const made = await enter(server, { ...options, way, isForRoom: given.room });
      if (way === "sign in" || given.room) await settleKey(dialog, made, keys);
      await profile.save({ server, username, keys, session: made.session, signedIn: true });
      await made.close();
      // From here on new tokens go to the profile.
      const kept = { ...client, keys, onSession: profile.keepSession.bind(profile) };
      return { client: await SottoClient.resume(server, made.session, kept), server, username };
    } catch (error) {
      if (!(error instanceof SottoError)) throw error;
      dialog.say(cleanText(adviceOf(error)), "warn");
    }
  }
}

/** The room has a rule of its own for passwords: registering for it goes by that. */
async function enter(
  server: string,
  options: Credentials & ClientOptions & { readonly way: "register" | "sign in"; readonly isForRoom: boolean },
): Promise<SottoClient> {
  const { way, isForRoom, username, password } = options;
  if (way === "register" && !isForRoom) return SottoClient.signUp(server, options);
  if (way === "register") await registerForRoom(server, { username, password });
  return SottoClient.signIn(server, options);
}

/** The session has ended; the account, its device and its key are known. */
async function again({ dialog, profile, client }: SignInOptions): Promise<Account> {
  const { content } = profile;
  if (content === null) throw new Error("Sign in a first time first");
  const { server, username, keys, session } = content;
  dialog.say(`You are signed out. Sign in as ${username} at ${server}.`);
  for (;;) {
    const password = await dialog.ask("Password:", { secret: true });
    const { deviceId, deviceToken } = session;
    const device = { deviceId, ...(deviceToken === undefined ? {} : { deviceToken }) };
    const onSession = (fresh: typeof session) =>
      profile.save({ server, username, keys, session: fresh, signedIn: true });
    try {
      const made = await SottoClient.signIn(server, { ...client, ...device, username, password, keys, onSession });
      return { client: made, server, username };
    } catch (error) {
      if (!(error instanceof SottoError)) throw error;
      dialog.say(cleanText(adviceOf(error)), "warn");
    }
  }
}

/**
 * An account that has no key gets the new one. One that has a key of another machine gets it only if the
 * person says so: what was encrypted for the other key cannot be read with this one.
 */
async function settleKey(dialog: Dialog, client: SottoClient, keys: PemKeys): Promise<void> {
  const { public_key: published } = await client.api.me();
  if (typeof published === "string") {
    if ((await fingerprintOf(published)) === (await fingerprintOf(keys.publicKey))) return;
    dialog.say("This account's private key is on another machine, and not here.", "warn");
    dialog.say(
      "With a new key nothing that was sent before can be read here, and the people you talk with are asked to accept it. Or end here, and copy the profile's files from the other machine.",
    );
    if ((await dialog.choose("Make a (n)ew key, or (e)nd?", ["new", "end"])) === "end") {
      await client.api.signOut();
      throw new DialogEnded();
    }
  }
  await client.api.setPublicKey(keys.publicKey);
}

async function askServer(dialog: Dialog): Promise<string> {
  for (;;) {
    const answer = await dialog.ask(`Server (Enter for ${STANDARD_SERVER}):`, { standard: STANDARD_SERVER });
    try {
      return serverAddress(answer.trim());
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      dialog.say(error.message, "warn");
    }
  }
}

/** The sentence, and what a password lacks where the server says it. */
function adviceOf(error: SottoError): string {
  const { suggestions, warning, fields } = error.details;
  const advice = [warning, ...(Array.isArray(suggestions) ? suggestions : [])].filter(
    (each) => typeof each === "string",
  );
  const wrong =
    typeof fields === "object" && fields !== null
      ? Object.entries(fields).map(([name, text]) => `${name} ${text}`)
      : [];
  return [explain(error), ...advice, ...wrong].filter((each) => each !== "").join(". ");
}
