/** Runs before every test process: ends what the tests of the process started. */
import { afterAll, setDefaultTimeout } from "bun:test";
import { disposeDatabaseServer } from "./postgres.ts";

// Two cores that many share: five seconds, the standard, would fail what is only slow.
setDefaultTimeout(60_000);

afterAll(disposeDatabaseServer, 60_000);
