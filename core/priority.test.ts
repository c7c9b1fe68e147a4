import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "./bytes.ts";
import { encode } from "./codec/codec.ts";
import type { Hash } from "./ids.ts";
import {
  comparePriority,
  feeClass,
  type Priority,
  priorityKey,
  prioritySchema,
  transactionPriority,
} from "./priority.ts";

const FEE_MAX = 2n ** 64n - 1n;

/** The definition of section 6 as it stands there: counts every k with s(k) <= fee. */
function classByDefinition(fee: bigint): number {
  let count = 0;
  for (let s = 1n; s <= fee; count++) {
    const tenthRoundedUp = s / 10n + (s % 10n === 0n ? 0n : 1n);
    s += tenthRoundedUp > 1n ? tenthRoundedUp : 1n;
  }
  return count;
}

const fees = fc.oneof(
  fc.bigInt({ min: 0n, max: 500n }),
  fc.bigInt({ min: 0n, max: FEE_MAX }),
  // Fees of all magnitudes: a uniform one is nearly always huge.
  fc
    .tuple(fc.nat({ max: 63 }), fc.bigInt({ min: 0n, max: FEE_MAX }))
    .map(([bits, fee]) => fee >> BigInt(bits)),
);
const hashes = fc.oneof(
  fc.constantFrom("0".repeat(64), "f".repeat(64), `${"0".repeat(63)}1`),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex),
);
const priorities: fc.Arbitrary<Priority> = fc.record({
  class: fc.oneof(fc.constantFrom(0, 1, 255, 256, 65_534, 65_535), fc.nat({ max: 65_535 })),
  hash: hashes.map((hash) => hash as Hash),
});

describe("priority: classes of fees", () => {
  test("the first of them, by hand", () => {
    // s = 1, 2, ..., 10 in steps of 1; 11, 13, 15, 17, 19 in steps of 2; then 21, 24, 27, 30, 33, 37, 41, 46
    const starts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 21, 24, 27, 30, 33, 37, 41, 46];
    expect(feeClass(0n)).toBe(0);
    for (const [k, start] of starts.entries()) {
      expect([start, feeClass(BigInt(start))]).toEqual([start, k + 1]);
      expect([start, feeClass(BigInt(start - 1))]).toEqual([start, k]);
    }
  });

  test("agree with the definition at every fee up to 3000", () => {
    const all = Array.from({ length: 3_001 }, (_, fee) => BigInt(fee));
    expect(all.map(feeClass)).toEqual(all.map(classByDefinition));
  });

  test("agree with the definition at any fee", () => {
    fc.assert(
      fc.property(fees, (fee) => {
        expect(feeClass(fee)).toBe(classByDefinition(fee));
      }),
      { numRuns: 300 },
    );
  });

  test("agree with the definition on both sides of every step up to the greatest fee", () => {
    let steps = 0;
    for (let s = 1n; s <= FEE_MAX; steps++) {
      expect([s, feeClass(s), feeClass(s - 1n)]).toEqual([s, steps + 1, steps]);
      const tenth = (s + 9n) / 10n;
      s += tenth > 1n ? tenth : 1n;
    }
    expect(feeClass(FEE_MAX)).toBe(steps);
    expect(classByDefinition(FEE_MAX)).toBe(steps);
    // The greatest priority of the protocol, class 65535, is above every transaction.
    expect(steps).toBeLessThan(65_535);
  });

  test("never fall when the fee rises, and rise when it rises by a fifth", () => {
    fc.assert(
      fc.property(fees, fees, (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(feeClass(low)).toBeLessThanOrEqual(feeClass(high));
        if (high >= low + low / 5n + 2n) expect(feeClass(low)).toBeLessThan(feeClass(high));
      }),
    );
  });

  test("a transaction has the class of its fee and its own hash", () => {
    const hash = "ab".repeat(32) as Hash;
    expect(transactionPriority({ fee: 21n, hash })).toEqual({ class: 16, hash });
  });
});

describe("priority: order", () => {
  const a = "0a".repeat(32) as Hash;
  const b = "0b".repeat(32) as Hash;

  test("the greater class is first, whatever the hashes", () => {
    expect(comparePriority({ class: 2, hash: b }, { class: 1, hash: a })).toBeLessThan(0);
    expect(comparePriority({ class: 1, hash: a }, { class: 2, hash: b })).toBeGreaterThan(0);
  });

  test("of one class the smaller hash is first", () => {
    expect(comparePriority({ class: 1, hash: a }, { class: 1, hash: b })).toBeLessThan(0);
    expect(comparePriority({ class: 1, hash: b }, { class: 1, hash: a })).toBeGreaterThan(0);
    expect(comparePriority({ class: 1, hash: a }, { class: 1, hash: a })).toBe(0);
  });

  test("nothing is above class 65535 with the hash of zeros", () => {
    const greatest = { class: 65_535, hash: "0".repeat(64) as Hash };
    fc.assert(
      fc.property(priorities, (other) => {
        expect(comparePriority(greatest, other)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test("is total, antisymmetric and transitive", () => {
    fc.assert(
      fc.property(priorities, priorities, priorities, (x, y, z) => {
        expect(Math.sign(comparePriority(x, y))).toBe(0 - Math.sign(comparePriority(y, x)));
        expect(comparePriority(x, y) === 0).toBe(x.class === y.class && x.hash === y.hash);
        if (comparePriority(x, y) <= 0 && comparePriority(y, z) <= 0) {
          expect(comparePriority(x, z)).toBeLessThanOrEqual(0);
        }
      }),
    );
  });

  test("keys as text are ordered as priorities are", () => {
    fc.assert(
      fc.property(priorities, priorities, fc.boolean(), (x, other, sameClass) => {
        const y = sameClass ? { ...other, class: x.class } : other;
        const [keyX, keyY] = [priorityKey(x), priorityKey(y)];
        expect(keyX < keyY ? -1 : keyX > keyY ? 1 : 0).toBe(Math.sign(comparePriority(x, y)));
      }),
    );
  });

  test("keys have one length, or text order would not be number order", () => {
    fc.assert(
      fc.property(priorities, (priority) => {
        expect(priorityKey(priority)).toHaveLength(68);
      }),
    );
  });

  test("hashes as text are ordered as their bytes are", () => {
    fc.assert(
      fc.property(priorities, priorities, (x, y) => {
        const bytes = (priority: Priority): Buffer =>
          Buffer.from(encode(prioritySchema, priority).subarray(2));
        const sameClass = comparePriority({ ...x, class: 0 }, { ...y, class: 0 });
        expect(Math.sign(sameClass)).toBe(Buffer.compare(bytes(x), bytes(y)));
      }),
    );
  });
});
