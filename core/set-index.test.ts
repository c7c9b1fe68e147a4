import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "./bytes.ts";
import type { Hash } from "./ids.ts";
import {
  createIndex,
  equalFingerprints,
  type Fingerprint,
  fingerprintOf,
  fingerprintOfIds,
  hashOfShortId,
  hasId,
  ID_MAX,
  idsWithin,
  isWithin,
  type Span,
  shortId,
  splitByCount,
} from "./set-index.ts";

const hashes: fc.Arbitrary<Hash> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => toHex(bytes) as Hash);
const sets = fc.uniqueArray(hashes, { maxLength: 60 });
const salts = fc.bigInt({ min: 0n, max: ID_MAX });
const spans: fc.Arbitrary<Span> = fc
  .tuple(salts, salts)
  .map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a }));

/** 7.7 once more, by the other library. */
function shortIdByDefinition(salt: bigint, name: Hash): bigint {
  const saltBytes = Buffer.alloc(8);
  saltBytes.writeBigUInt64LE(salt);
  const digest = createHash("sha256")
    .update("pollen/short/1\0", "ascii")
    .update(saltBytes)
    .update(fromHex(name));
  return digest.digest().readBigUInt64LE();
}

function fingerprintByDefinition(ids: readonly bigint[]): Fingerprint {
  let [xor, sum] = [0n, 0n];
  for (const id of ids) {
    xor ^= id;
    sum = (sum + id) % 2n ** 64n;
  }
  return { count: ids.length, xor, sum };
}

describe("set index", () => {
  test("a short id is the first eight bytes of the hash of salt and name, as a little-endian number", () => {
    fc.assert(
      fc.property(salts, hashes, (salt, name) => {
        expect(shortId(salt, name)).toBe(shortIdByDefinition(salt, name));
      }),
    );
    expect(shortId(1n, "00".repeat(32) as Hash)).not.toBe(shortId(2n, "00".repeat(32) as Hash));
  });

  test("has every hash by its short id, in ascending order, and no other", () => {
    fc.assert(
      fc.property(salts, sets, hashes, (salt, names, other) => {
        const index = createIndex(salt, names);
        const ids = names.map((name) => shortIdByDefinition(salt, name));
        expect(index.ids).toEqual(ids.toSorted((a, b) => (a < b ? -1 : 1)));
        expect(index.ids.map((id) => hashOfShortId(index, id))).toEqual(index.hashes);
        for (const [place, name] of names.entries())
          expect(hashOfShortId(index, ids[place] ?? 0n)).toBe(name);
        fc.pre(!names.includes(other));
        expect(hasId(index, shortId(salt, other))).toBe(false);
        expect(hashOfShortId(index, shortId(salt, other))).toBeUndefined();
      }),
    );
  });

  test("does not depend on the order of the set, and counts what has the same short id once", () => {
    fc.assert(
      fc.property(salts, sets, (salt, names) => {
        const index = createIndex(salt, names);
        expect(createIndex(salt, names.toReversed())).toEqual(index);
        expect(createIndex(salt, [...names, ...names])).toEqual(index);
      }),
    );
  });

  test("the fingerprint of any span is that of the ids within, its ends included", () => {
    fc.assert(
      fc.property(salts, sets, spans, fc.nat(), fc.nat(), (salt, names, anywhere, a, b) => {
        const index = createIndex(salt, names);
        // Spans that begin and end with ids, or cover everything, are tried as often as any.
        const [from = 0n, to = ID_MAX] = [a, b]
          .map((place) => index.ids[place % index.ids.length] ?? 0n)
          .sort((one, other) => (one < other ? -1 : 1));
        for (const span of [anywhere, { from, to }, { from: from + 1n, to }, { from: 0n, to: ID_MAX }]) {
          const inside = index.ids.filter((id) => id >= span.from && id <= span.to);
          expect(idsWithin(index, span)).toEqual(inside);
          expect(fingerprintOf(index, span)).toEqual(fingerprintByDefinition(inside));
          expect(fingerprintOfIds(inside)).toEqual(fingerprintByDefinition(inside));
          expect(index.ids.filter((id) => isWithin(id, span))).toEqual(inside);
        }
      }),
    );
  });

  test("equal fingerprints are equal in all that they say", () => {
    const one = { count: 1, xor: 2n, sum: 3n };
    expect(equalFingerprints(one, { ...one })).toBe(true);
    expect(equalFingerprints(one, { ...one, count: 2 })).toBe(false);
    expect(equalFingerprints(one, { ...one, xor: 3n })).toBe(false);
    expect(equalFingerprints(one, { ...one, sum: 2n })).toBe(false);
  });

  test("a span is split into equal numbers of ids, and the parts are all of it", () => {
    fc.assert(
      fc.property(salts, sets, spans, fc.integer({ min: 1, max: 16 }), (salt, names, span, count) => {
        const index = createIndex(salt, names);
        const inside = idsWithin(index, span);
        fc.pre(inside.length >= count);
        const parts = splitByCount(index, span, count);
        expect(parts).toHaveLength(count);
        expect([parts.at(0)?.from, parts.at(-1)?.to]).toEqual([span.from, span.to]);
        for (const [place, { from, to, ...fingerprint }] of parts.entries()) {
          expect(from).toBe(place === 0 ? span.from : (parts[place - 1]?.to ?? 0n) + 1n);
          expect(fingerprint).toEqual(fingerprintOf(index, { from, to }));
          expect(Math.abs(fingerprint.count - inside.length / count)).toBeLessThan(1);
        }
      }),
    );
  });
});
