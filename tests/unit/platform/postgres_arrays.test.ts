/** Arrays in the database's binary form mean what their texts mean. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { booleanArray, intArray, smallintArray, uuidArray } from "../../../src/platform/postgres_arrays.ts";
import { uuidv7 } from "../../../src/protocol/mod.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database[Symbol.asyncDispose]());

async function read(type: string, value: Buffer): Promise<unknown> {
  const [row] = await database.db.query<{ read: unknown }>(`select to_json($1::${type}) as read`, [value]);
  return row?.read;
}

test("uuidArray() gives the database the same UUIDs, in either case, and none of an empty list", async () => {
  const ids = [...Array.from({ length: 300 }, () => uuidv7()), "00000000-0000-0000-0000-000000000000"];
  expect(await read("uuid[]", uuidArray(ids))).toEqual(ids);
  expect(await read("uuid[]", uuidArray(ids.map((id) => id.toUpperCase())))).toEqual(ids);
  expect(await read("uuid[]", uuidArray([]))).toEqual([]);
});

test("uuidArray() refuses what is no UUID", () => {
  for (const wrong of ["", "0190", `${uuidv7()}0`, uuidv7().replace(/^./, "g"), uuidv7().replace(/.$/, "é")]) {
    expect(() => uuidArray([wrong])).toThrow("UUID");
  }
});

test("number and boolean arrays keep every value", async () => {
  const ints = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 65_536];
  expect(await read("int[]", intArray(ints))).toEqual(ints);
  const smallints = [0, 1, -1, 32_767, -32_768];
  expect(await read("smallint[]", smallintArray(smallints))).toEqual(smallints);
  expect(await read("boolean[]", booleanArray([true, false, true]))).toEqual([true, false, true]);
});
