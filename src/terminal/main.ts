/**
 * `npm run chat`: the terminal client, over the SDK alone.
 *
 *   main -> sign_in (dialog, profile) -> chat (talks, drafts, commands) -> chat_view -> terminal (ink)
 *
 * Exit codes: 0 ended by the person · 1 refused, or a fault · 2 not to be used like this · 128 + n signal n.
 */
import { constants } from "node:os";
import { RoomClient } from "../client/mod.ts";
import { type Arguments, readArguments, USAGE, UsageError } from "./arguments.ts";
import { Chat, type ChatOptions } from "./chat.ts";
import { Dialog, DialogEnded } from "./dialog.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { FileStore } from "./file_store.ts";
import { Profile, ProfileInUseError } from "./profile.ts";
import { RoomPage } from "./room_page.ts";
import { signIn } from "./sign_in.ts";
import { Terminal } from "./terminal.ts";

const EXIT = { ended: 0, failed: 1, usage: 2 } as const;

process.exit(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<number> {
  try {
    const given = readArguments(words);
    if (given.help) {
      console.log(USAGE);
      return EXIT.ended;
    }
    if (!process.stdin.isTTY || !process.stdout.isTTY) {
      throw new UsageError("Start it in a terminal: it needs a screen and a keyboard");
    }
    const goodbye = await run(given, readEnvironment());
    if (goodbye !== "") console.log(goodbye);
    return EXIT.ended;
  } catch (error) {
    if (error instanceof DialogEnded) return EXIT.ended;
    const isMendable = error instanceof UsageError || error instanceof ProfileInUseError;
    console.error(isMendable ? error.message : error);
    return isMendable ? EXIT.usage : EXIT.failed;
  }
}

/** Runs until the person ends it; gives what there is to say after the screen is given back. */
async function run(given: Arguments, environment: Environment): Promise<string> {
  using profile = await Profile.open(environment.configFolder, given.profile);
  const store = await FileStore.open(profile.statePath);
  using terminal = new Terminal({
    input: process.stdin,
    output: process.stdout,
    colours: environment.colours,
    lost: () => process.exit(128 + constants.signals.SIGHUP),
  });
  endWithSignals(terminal);
  const redraw = () => terminal.redraw();
  const dialog = new Dialog(redraw);
  terminal.show(dialog);
  let chat: Chat | undefined;
  const account = await signIn({
    profile,
    given,
    dialog,
    client: {
      store,
      onStatus: (status) => chat?.onStatus(status),
      onSignal: (signal) => chat?.onSignal(signal),
      onRejected: (_id, error) => chat?.onProblem(error),
      onProblem: (error) => chat?.onProblem(error),
    },
  });
  if (given.room) return goodbye(await stay(terminal, enterRoom({ account, store, profile, redraw })));
  chat = new Chat({ account, store, profile, redraw });
  return goodbye(await stay(terminal, chat));
}

/** Shows a page until the person ends it; gives how many messages wait. */
async function stay(terminal: Terminal, page: Chat | RoomPage): Promise<number> {
  await using open = page;
  terminal.show(open);
  await open.ended;
  return open.waiting;
}

function goodbye(waiting: number): string {
  return waiting === 0 ? "" : `Not sent yet, and sent at the next start: ${waiting}`;
}

function enterRoom({ account, store, profile, redraw }: ChatOptions): RoomPage {
  const { client, server, username } = account;
  return new RoomPage({
    username,
    store,
    redraw,
    enter: ({ onEvent, onStatus }) =>
      new RoomClient(server, client.api, {
        onEvent,
        onStatus: (status) => {
          if (status.state === "stopped" && status.reason.code !== "closed") void profile.forgetSession();
          onStatus(status);
        },
      }),
  });
}

/** A signal, or a fault, gives the terminal back and ends; what was typed is in the file already. */
function endWithSignals(terminal: Terminal): void {
  for (const fault of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(fault, (error: unknown) => {
      terminal[Symbol.dispose](); // else the message would go with the screen
      console.error(error);
      process.exit(EXIT.failed);
    });
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      terminal[Symbol.dispose]();
      process.exit(128 + constants.signals[signal]);
    });
  }
}
