/** The program, with a bug in it: `server.ts <name of a bug>`; see `bugs.ts`. */
import { BUGS, type Bug } from "./bugs.ts";

for (const name of process.argv.slice(2)) {
  if (!Object.hasOwn(BUGS, name)) throw new Error(`Name a bug that exists: current value is ${name}`);
  BUGS[name as Bug]();
}
await import("../../../src/main.ts");
