import { describe, expect, test } from "bun:test";
import { OverloadedError } from "../../../src/platform/overloaded.ts";
import { createPasswordHasher } from "../../../src/platform/password_hash.ts";
import { createSemaphore } from "../../../src/platform/semaphore.ts";

const LIMITS = { concurrency: 2, queue: 10 };

describe("createPasswordHasher()", () => {
  for (const algorithm of ["argon2id", "bcrypt"] as const) {
    test(`${algorithm} tells two 100-byte passwords apart that differ in the last byte`, async () => {
      const hasher = createPasswordHasher({ algorithm, ...LIMITS });
      const hash = await hasher.hashPassword(`${"p".repeat(99)}a`);
      expect(await hasher.verifyPassword(`${"p".repeat(99)}a`, hash)).toBe(true);
      expect(await hasher.verifyPassword(`${"p".repeat(99)}b`, hash)).toBe(false);
      expect(hasher.needsRehash(hash)).toBe(false);
    });
  }

  test("verifies hashes of the other kind and asks for new ones", async () => {
    const argon2 = createPasswordHasher({ algorithm: "argon2id", ...LIMITS });
    const bcrypt = createPasswordHasher({ algorithm: "bcrypt", ...LIMITS });
    const old = await bcrypt.hashPassword("correct horse");
    expect(await argon2.verifyPassword("correct horse", old)).toBe(true);
    expect(await argon2.verifyPassword("correct house", old)).toBe(false);
    expect(argon2.needsRehash(old)).toBe(true);
  });

  test("verifies a plain bcrypt hash of another program, and no password beyond what bcrypt reads", async () => {
    const hasher = createPasswordHasher({ algorithm: "argon2id", ...LIMITS });
    // Test vectors of the bcrypt algorithm as published with OpenBSD's and Openwall's implementations.
    const vector = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    expect(await hasher.verifyPassword("U*U", vector)).toBe(true);
    expect(await hasher.verifyPassword("U*V", vector)).toBe(false);
    const cut = await Bun.password.hash("x".repeat(72), { algorithm: "bcrypt", cost: 4 });
    expect(await hasher.verifyPassword("x".repeat(73), cut)).toBe(false);
  });

  test("takes a hash of unknown form for a wrong password", async () => {
    const hasher = createPasswordHasher({ algorithm: "argon2id", ...LIMITS });
    expect(await hasher.verifyPassword("secret", "")).toBe(false);
    expect(await hasher.verifyPassword("secret", "$2b$nonsense")).toBe(false);
  });

  test("refuses when too many wait, and goes on after", async () => {
    const hasher = createPasswordHasher({ algorithm: "argon2id", concurrency: 1, queue: 1 });
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => hasher.hashPassword("secret")));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(await hasher.hashPassword("secret")).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
  });
});

describe("createSemaphore()", () => {
  test("never runs more than its bound, in the order of arrival", async () => {
    const semaphore = createSemaphore({ concurrency: 2, queue: 100, waitMs: 60_000 });
    const order: number[] = [];
    let most = 0;
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        semaphore.run(async () => {
          most = Math.max(most, semaphore.running);
          order.push(index);
          await new Promise(setImmediate); // others get their chance to overtake
        }),
      ),
    );
    expect(most).toBe(2);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect([semaphore.running, semaphore.waiting]).toEqual([0, 0]);
  });

  test("gives up a turn that does not come in time, and gives the place on after a failure", async () => {
    const semaphore = createSemaphore({ concurrency: 1, queue: 5, waitMs: 20 });
    const gate = Promise.withResolvers<void>();
    const first = semaphore.run(() => gate.promise);
    await expect(semaphore.run(async () => "late")).rejects.toBeInstanceOf(OverloadedError);
    expect(semaphore.waiting).toBe(0);
    gate.reject(new Error("failed"));
    await expect(first).rejects.toThrow("failed");
    expect(await semaphore.run(async () => "next")).toBe("next");
  });
});
