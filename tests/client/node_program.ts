/** Runs the program under Node 20, which has no WebSocket: the package `ws` is passed in. */
import { WebSocket } from "ws";
import { runProgram } from "./platform_program.ts";

const report = await runProgram(process.argv[2] ?? "", (url) => new WebSocket(url));
process.stdout.write(JSON.stringify({ ...report, version: process.version }));
