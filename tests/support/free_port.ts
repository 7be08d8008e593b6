/** A port for what has to be told one; whoever can takes port 0. */
import { createServer } from "node:net";

/**
 * Below those that the embedded Postgres chooses from, and those that the system gives to whoever asks for
 * port 0 and to connections: so nobody takes it before it is listened on, or while what listens starts again.
 */
const FIRST = 10_000;
const LAST = 19_999;
const TRIES = 50;

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (await isFree(port)) return port;
  }
  throw new Error(`Free a port from ${FIRST} to ${LAST} on 127.0.0.1`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
