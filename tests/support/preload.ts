/** Runs before every test process: ends what the tests of the process started. */
import { afterAll, setDefaultTimeout } from "bun:test";
import { disposeDatabaseServer } from "./postgres.ts";

// Two cores that many share: five seconds, the standard, would fail what is only slow.
setDefaultTimeout(60_000);

// A worker of several does not know which file is its last: its server ends with its process.
if (process.env["BUN_TEST_WORKER_ID"] === undefined) afterAll(disposeDatabaseServer, 60_000);
