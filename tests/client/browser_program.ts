/** Puts the program into a page: `window.runProgram(url)`. */
import { runProgram } from "./platform_program.ts";

Object.assign(globalThis, { runProgram: (url: string) => runProgram(url, (address) => new WebSocket(address)) });
