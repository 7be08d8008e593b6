/** Whether a port can be had, asked before anything else is started. */
import { createServer } from "node:net";

/** Another program listens where we shall. */
export class PortTakenError extends Error {
  override readonly name = "PortTakenError";
}

/**
 * Listens for a moment, so a taken port is told before a database is started for nothing.
 *
 * @throws {PortTakenError} with a sentence for the operator
 */
export function checkPort(host: string, port: number): Promise<void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new PortTakenError(sentence(error.code, host, port))),
    );
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function sentence(code: string | undefined, host: string, port: number): string {
  if (code === "EADDRINUSE")
    return `Set PORT to a free port or stop the program that listens on it: current value is ${port}`;
  if (code === "EACCES")
    return `Set PORT to 1024 or above, or run with the right to use lower ones: current value is ${port}`;
  return `Set HOST to an address of this machine: current value is ${host} (${code ?? "unknown error"})`;
}
