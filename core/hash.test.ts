import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hash, itemHash, sha256Hex } from "./hash.ts";

// A second implementation: the other library, and the tree from the top down instead of level by level.

const H = (label: string, ...parts: readonly Uint8Array[]): Buffer => {
  const state = createHash("sha256").update(label, "ascii").update(Uint8Array.of(0));
  for (const part of parts) state.update(part);
  return state.digest();
};

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** Pairs from the left, an odd node carried up: the left subtree is the greatest full one. */
function subtree(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return only;
  let left = 1;
  while (2 * left < leaves.length) left *= 2;
  return H("pollen/node/1", subtree(leaves.slice(0, left)), subtree(leaves.slice(left)));
}

function rootByDefinition(data: Uint8Array): string {
  const chunks = Math.max(1, Math.ceil(data.length / 60_000));
  const leaves = Array.from({ length: chunks }, (_, index) =>
    H("pollen/chunk/1", u32(index), data.subarray(60_000 * index, 60_000 * (index + 1))),
  );
  return H("pollen/stream/1", u64(data.length), subtree(leaves)).toString("hex");
}

const pattern = (size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, index) => (index * 31) % 253);

describe("hash: H of the protocol", () => {
  test("agrees with the other library for any label and parts", () => {
    const labels = fc.string({ unit: "binary-ascii", maxLength: 20 });
    fc.assert(
      fc.property(labels, fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }), (label, parts) => {
        expect(Buffer.from(hash(label, ...parts)).toString("hex")).toBe(H(label, ...parts).toString("hex"));
      }),
    );
  });

  test("a zero byte ends the label: it is not exchangeable with the first part", () => {
    const bytes = (text: string): Uint8Array => Buffer.from(text, "ascii");
    expect(hash("pollen/offer/1")).not.toEqual(hash("pollen/offer/", bytes("1")));
    expect(hash("ab", bytes("c"))).not.toEqual(hash("a", bytes("bc")));
  });

  test("the bytes that are hashed stay as they are", () => {
    const part = Uint8Array.of(1, 2, 3);
    hash("label", part);
    expect([...part]).toEqual([1, 2, 3]);
  });

  test("SHA-256 of nothing and of 'abc'", () => {
    expect(sha256Hex(new Uint8Array())).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    expect(sha256Hex(Buffer.from("abc"))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });
});

describe("hash: name of an item", () => {
  // One to seven chunks: full trees, an odd node on the lowest level, and one carried up twice (five chunks).
  const sizes = [0, 1, 59_999, 60_000, 60_001, 120_000, 120_001, 180_000, 180_001, 240_001, 300_001, 360_001];

  test.each(sizes)("of %i bytes is the root of its chunks", (size) => {
    expect(itemHash(pattern(size))).toBe(rootByDefinition(pattern(size)));
  });

  test("differs by any byte, also in the last chunk", () => {
    const bytes = pattern(120_001);
    const before = itemHash(bytes);
    for (const at of [0, 59_999, 60_000, 119_999, 120_000]) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(itemHash(changed)).not.toBe(before);
    }
  });

  test("an empty item has one empty chunk, and its size is part of its name", () => {
    expect(itemHash(new Uint8Array())).not.toBe(itemHash(Uint8Array.of(0)));
    expect(itemHash(new Uint8Array(60_000))).not.toBe(itemHash(new Uint8Array(60_001)));
  });

  test("may lie anywhere in a buffer", () => {
    const around = new Uint8Array(100).map((_, index) => index);
    expect(itemHash(around.subarray(10, 90))).toBe(itemHash(around.slice(10, 90)));
  });
});
