/**
 * What the SDK must be able to do wherever it runs; bundled for Node and for browsers by
 * `platforms.test.ts`. It returns what happened, so that the test outside judges it.
 */
import { type ClientOptions, generatePemKeys, type OpenSocket, SottoClient } from "../../src/client/mod.ts";

/** What the program saw. */
export interface ProgramReport {
  /** The texts that the receiver read, in its order. */
  readonly read: readonly (string | null)[];
  /** The receipts' numbers, in the order of sending. */
  readonly seqs: readonly number[];
  /** How often the sender's connection was lost and came back. */
  readonly losses: number;
  /** The code of a send that must be refused. */
  readonly refused: string;
}

/** Two people, sixty messages, and a line that is cut in the middle. */
export async function runProgram(url: string, open: OpenSocket): Promise<ProgramReport> {
  const count = 60;
  let losses = 0;
  let current: ReturnType<OpenSocket> | undefined;
  const options: Partial<ClientOptions> = {
    openSocket: (address) => {
      current = open(address);
      return current;
    },
    onStatus: ({ state }) => {
      if (state === "waiting") losses++;
    },
  };
  const receiver = await person(url, { openSocket: open });
  const sender = await person(url, options);
  receiver.connect();
  sender.connect();
  const participants = [receiver.session.userId];
  const dm = await sender.api.createConversation({ conversation_type: "dm", participant_ids: participants });
  const sends = Array.from({ length: count }, async (_, i) => {
    const { seq } = await sender.send(dm.id, `Grüße ${i + 1}`);
    if (i === 20) current?.close(4_001);
    return seq;
  });
  const seqs = await Promise.all(sends);
  const read: (string | null)[] = [];
  for await (const event of receiver.events()) {
    if (event.type === "message") read.push(event.text);
    if (read.length === count) break;
  }
  const refused = await sender.send(dm.id, { content: "in clear" }).then(
    () => "none",
    (error: { code?: string }) => error.code ?? String(error),
  );
  await Promise.all([receiver.close(), sender.close()]);
  return { read, seqs, losses, refused };
}

async function person(url: string, options: Partial<ClientOptions>): Promise<SottoClient> {
  const username = `traveller_${crypto.randomUUID().slice(0, 13)}`;
  const keys = await generatePemKeys(2_048);
  return SottoClient.signUp(url, { username, password: "violet-harbour-93-lantern", keys, ...options });
}
