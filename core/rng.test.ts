import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "./bytes.ts";
import { createRng, drawBytes, drawHex, drawInt, type Rng } from "./rng.ts";

const SEED = "5eed".repeat(16);
const holderOf = (seed = SEED): { rng: Rng } => ({ rng: createRng(seed) });
const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);

describe("rng", () => {
  test("draw n is SHA-256 of the seed and n as a u64", () => {
    const holder = holderOf();
    for (let n = 0; n < 300; n++) {
      const counter = Buffer.alloc(8);
      counter.writeBigUInt64LE(BigInt(n));
      const expected = createHash("sha256").update(Buffer.from(SEED, "hex")).update(counter).digest("hex");
      expect(drawHex(holder, 32)).toBe(expected);
    }
  });

  test("the same seed gives the same sequence, whatever kinds of draws it is made of", () => {
    const kinds = fc.array(fc.constantFrom("bytes", "hex", "int"), { maxLength: 30 });
    fc.assert(
      fc.property(seeds, kinds, (seed, sequence) => {
        const play = (): unknown[] => {
          const holder = holderOf(seed);
          return sequence.map((kind) =>
            kind === "bytes"
              ? toHex(drawBytes(holder, 16))
              : kind === "hex"
                ? drawHex(holder, 8)
                : drawInt(holder, 1_000),
          );
        };
        expect(play()).toEqual(play());
      }),
    );
  });

  test("a state that was kept continues as it did", () => {
    const holder = holderOf();
    drawHex(holder, 8);
    const kept = holder.rng;
    const later = [drawHex(holder, 8), drawInt(holder, 99)];
    const again = { rng: kept };
    expect([drawHex(again, 8), drawInt(again, 99)]).toEqual(later);
  });

  test("each draw is another one: the counter moves on by one, whatever is drawn", () => {
    const holder = holderOf();
    drawBytes(holder, 0);
    drawHex(holder, 32);
    drawInt(holder, 1);
    expect(holder.rng).toEqual({ seed: SEED, drawn: 3 });
    const drawn = Array.from({ length: 500 }, () => drawHex(holder, 16));
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  test("other seeds give other sequences", () => {
    fc.assert(
      fc.property(seeds, seeds, (a, b) => {
        fc.pre(a !== b);
        expect(drawHex(holderOf(a), 32)).not.toBe(drawHex(holderOf(b), 32));
      }),
    );
  });

  test("bytes and text have the length asked for, up to 32", () => {
    const holder = holderOf();
    for (const length of [0, 1, 8, 16, 32]) {
      expect(drawBytes(holder, length)).toHaveLength(length);
      expect(drawHex(holder, length)).toMatch(new RegExp(`^[0-9a-f]{${2 * length}}$`));
    }
  });

  test("an integer lies in its range, for any bound up to 2^32", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 2 ** 32 }), (seed, below) => {
        const drawn = drawInt(holderOf(seed), below);
        expect(Number.isInteger(drawn) && drawn >= 0 && drawn < below).toBe(true);
      }),
    );
    expect(drawInt(holderOf(), 1)).toBe(0);
  });

  test.each([2, 3, 10, 37])("integers below %i come about equally often", (below) => {
    const holder = holderOf();
    const draws = 300 * below;
    const counts = Array<number>(below).fill(0);
    for (let index = 0; index < draws; index++) {
      const drawn = drawInt(holder, below);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    // Pearson's chi-squared has mean below - 1 and variance 2 (below - 1): five deviations leave no doubt.
    const chiSquared = counts.reduce((sum, count) => sum + (count - 300) ** 2 / 300, 0);
    expect(chiSquared).toBeLessThan(below - 1 + 5 * Math.sqrt(2 * (below - 1)));
  });

  test("every bit of the draws is about as often set as not", () => {
    const holder = holderOf();
    const counts = Array<number>(256).fill(0);
    for (let index = 0; index < 1_000; index++) {
      for (const [at, byte] of drawBytes(holder, 32).entries()) {
        for (let bit = 0; bit < 8; bit++)
          counts[8 * at + bit] = (counts[8 * at + bit] ?? 0) + ((byte >> bit) & 1);
      }
    }
    // The standard deviation is 16.
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(80);
  });
});
