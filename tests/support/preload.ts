/** Runs before every test process: ends what the tests of the process started. */
import { afterAll, setDefaultTimeout } from "bun:test";
import { disposeDatabaseServer } from "./postgres.ts";

afterAll(disposeDatabaseServer, 60_000);
