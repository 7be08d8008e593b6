import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import * as fc from "fast-check";
import { KeyedHash } from "../../../src/platform/keyed_hash.ts";

test("KeyedHash.digest() is HMAC-SHA-256 of its parts, however often it is asked", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.array(fc.string()), (key, texts) => {
      const hash = new KeyedHash(key);
      for (const text of texts) {
        const expected = createHmac("sha256", key).update(text).update(Buffer.from(text)).digest("hex");
        expect(Buffer.from(hash.digest(text, Buffer.from(text))).toString("hex")).toBe(expected);
      }
    }),
  );
});
