import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "./bytes.ts";
import type { Manifest } from "./channels/streaming-rpc.ts";
import { type HashFunction, hash, itemHash, leafHash } from "./hash.ts";
import type { Hash } from "./ids.ts";
import { CHUNK_BYTES, CHUNK_PROOF_MAX } from "./limits.ts";
import {
  chunkCount,
  createTree,
  manifestOf,
  merkleRootOf,
  proofOf,
  streamRootOf,
  verifyChunk,
  verifyManifest,
} from "./stream.ts";

/** `H` by the other library: as the service injects it, and as the oracle of these tests. */
const native: HashFunction = (label, ...parts) => {
  const state = createHash("sha256").update(label, "ascii").update(Uint8Array.of(0));
  for (const part of parts) state.update(part);
  return state.digest();
};

const pattern = (size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) % 253);

const chunkOf = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);

const leavesOf = (count: number): readonly Uint8Array[] =>
  Array.from({ length: count }, (_, index) => native("leaf", Uint8Array.of(index)));

/** From the top down: the left subtree is the greatest full one that leaves something to the right. */
function rootByDefinition(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return only;
  const left = widthOfLeft(leaves.length);
  return native(
    "pollen/node/1",
    rootByDefinition(leaves.slice(0, left)),
    rootByDefinition(leaves.slice(left)),
  );
}

/** Of the same tree: the roots of the subtrees beside the way down to a leaf, the last one first. */
function proofByDefinition(leaves: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  if (leaves.length === 1) return [];
  const left = widthOfLeft(leaves.length);
  const [low, high] = [leaves.slice(0, left), leaves.slice(left)];
  return index < left
    ? [...proofByDefinition(low, index), rootByDefinition(high)]
    : [...proofByDefinition(high, index - left), rootByDefinition(low)];
}

function widthOfLeft(count: number): number {
  let width = 1;
  while (2 * width < count) width *= 2;
  return width;
}

/** The same bytes with one bit changed. */
function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}

const COUNTS = Array.from({ length: 40 }, (_, index) => index + 1);

describe("stream: the tree", () => {
  test.each(COUNTS)("over %i chunks has the root and the proofs of its definition", (count) => {
    const leaves = leavesOf(count);
    const tree = createTree(leaves);
    expect(merkleRootOf(tree)).toBe(toHex(rootByDefinition(leaves)));
    for (const index of leaves.keys()) {
      expect(proofOf(tree, index).map(toHex)).toEqual(proofByDefinition(leaves, index).map(toHex));
    }
  });

  test("an odd node is carried up: of five chunks the last has one sibling", () => {
    const tree = createTree(leavesOf(5));
    expect(tree.map((level) => level.length)).toEqual([5, 3, 2, 1]);
    expect(tree[1]?.[2]).toBe(tree[0]?.[4]);
    expect([0, 1, 2, 3, 4].map((index) => proofOf(tree, index).length)).toEqual([3, 3, 3, 3, 1]);
  });
});

describe("stream: names", () => {
  const SIZES = [0, 1, 59_999, 60_000, 60_001, 119_999, 120_000, 120_001, 180_000, 240_001, 300_001];

  test.each(SIZES)("the root of %i bytes is the hash of the item, with either hash function", (size) => {
    const bytes = pattern(size);
    expect(streamRootOf(bytes)).toBe(itemHash(bytes));
    expect(streamRootOf(bytes, native)).toBe(itemHash(bytes));
    expect(manifestOf(bytes)).toEqual(manifestOf(bytes, native));
  });

  test("a manifest has the name of its stream, and any other has not", () => {
    const bytes = pattern(70_000);
    const root = streamRootOf(bytes);
    const manifest = manifestOf(bytes);
    expect(manifest.size).toBe(70_000n);
    expect([verifyManifest(root, manifest), verifyManifest(root, manifest, native)]).toEqual([true, true]);
    expect(verifyManifest(root, { ...manifest, size: 70_001n })).toBe(false);
    expect(verifyManifest(root, { ...manifest, size: 70_000n + 2n ** 32n })).toBe(false);
    const merkleRoot = toHex(flipped(Buffer.from(manifest.merkleRoot, "hex"), 7));
    expect(verifyManifest(root, { ...manifest, merkleRoot })).toBe(false);
    expect(verifyManifest(toHex(flipped(Buffer.from(root, "hex"), 255)) as Hash, manifest)).toBe(false);
  });

  test("chunks are counted for every size that can be written down", () => {
    const sizes = [0n, 1n, 59_999n, 60_000n, 60_001n, 119_999n, 120_000n, 120_001n];
    expect(sizes.map(chunkCount)).toEqual([1, 1, 1, 1, 2, 2, 2, 3]);
    expect(chunkCount(60_000n * 2n ** 24n)).toBe(2 ** CHUNK_PROOF_MAX);
    expect(chunkCount(2n ** 64n - 1n)).toBe(Math.ceil(2 ** 64 / 60_000));
  });
});

describe("stream: chunks", () => {
  const LAST = 5;

  test.each(COUNTS.slice(0, 9))(
    "each of %i is proven, with either hash function, and in its own place only",
    (count) => {
      for (const size of [count * CHUNK_BYTES, (count - 1) * CHUNK_BYTES + LAST]) {
        const bytes = pattern(size);
        const manifest = manifestOf(bytes, native);
        const tree = createTree(
          Array.from({ length: count }, (_, at) => leafHash(at, chunkOf(bytes, at), native)),
        );
        for (let index = 0; index < count; index++) {
          const [data, proof] = [chunkOf(bytes, index), proofOf(tree, index)];
          expect(verifyChunk(manifest, index, data, proof, native)).toBe(true);
          if (index === count - 1) expect(verifyChunk(manifest, index, data, proof)).toBe(true);
          for (let other = 0; other <= count; other++) {
            expect(verifyChunk(manifest, other, data, proof, native)).toBe(other === index);
          }
        }
      }
    },
  );

  test("each of 1 to 40 is proven", () => {
    const whole = pattern(40 * CHUNK_BYTES);
    const leaves = COUNTS.map((_, index) => leafHash(index, chunkOf(whole, index), native));
    for (const count of COUNTS) {
      const tree = createTree(leaves.slice(0, count), native);
      const manifest: Manifest = { size: BigInt(count * CHUNK_BYTES), merkleRoot: merkleRootOf(tree) };
      for (let index = 0; index < count; index += index < count - 3 ? 3 : 1) {
        expect(verifyChunk(manifest, index, chunkOf(whole, index), proofOf(tree, index), native)).toBe(true);
      }
    }
  });

  // Seven chunks: the last one is carried up once. Its five bytes and all proofs are short enough to try every bit.
  const bytes = pattern(6 * CHUNK_BYTES + LAST);
  const manifest = manifestOf(bytes, native);
  const tree = createTree(
    COUNTS.slice(0, 7).map((_, at) => leafHash(at, chunkOf(bytes, at), native)),
    native,
  );
  const verify = (index: number, data: Uint8Array, proof: readonly Uint8Array[]): boolean =>
    verifyChunk(manifest, index, data, proof, native);

  test("every flipped bit of data, proof and index is refused", () => {
    const [data, proof] = [chunkOf(bytes, 6), proofOf(tree, 6)];
    expect([data.length, proof.length, verify(6, data, proof)]).toEqual([LAST, 2, true]);
    for (let bit = 0; bit < 8 * data.length; bit++) expect(verify(6, flipped(data, bit), proof)).toBe(false);
    for (let bit = 0; bit < 32; bit++) expect(verify((6 ^ (1 << bit)) >>> 0, data, proof)).toBe(false);
    for (const [place, sibling] of proof.entries()) {
      for (let bit = 0; bit < 256; bit++) {
        expect(verify(6, data, proof.with(place, flipped(sibling, bit)))).toBe(false);
      }
    }
  });

  test("any flipped bit of a whole chunk is refused", () => {
    const proof = proofOf(tree, 2);
    expect(verify(2, chunkOf(bytes, 2), proof)).toBe(true);
    fc.assert(
      fc.property(fc.nat(8 * CHUNK_BYTES - 1), (bit) => {
        expect(verify(2, flipped(chunkOf(bytes, 2), bit), proof)).toBe(false);
      }),
      { numRuns: 40 },
    );
    for (const bit of [0, 8 * CHUNK_BYTES - 1])
      expect(verify(2, flipped(chunkOf(bytes, 2), bit), proof)).toBe(false);
    for (let bit = 0; bit < 32; bit++)
      expect(verify((2 ^ (1 << bit)) >>> 0, chunkOf(bytes, 2), proof)).toBe(false);
  });

  test("a proof has exactly its siblings, in their order", () => {
    for (const index of [0, 3, 6]) {
      const [data, proof] = [chunkOf(bytes, index), proofOf(tree, index)];
      expect(verify(index, data, proof)).toBe(true);
      expect(verify(index, data, proof.slice(1))).toBe(false);
      expect(verify(index, data, proof.slice(0, -1))).toBe(false);
      expect(verify(index, data, proof.toReversed())).toBe(false);
      expect(verify(index, data, [...proof, ...proof.slice(-1)])).toBe(false);
      expect(verify(index, data, [])).toBe(false);
    }
    // Of a stream with one chunk the root is the leaf itself.
    const one = manifestOf(pattern(9), native);
    expect(verifyChunk(one, 0, pattern(9), [], native)).toBe(true);
    expect(verifyChunk(one, 0, pattern(9), [new Uint8Array(32)], native)).toBe(false);
  });

  test("a chunk has the length that the size says, whatever it hashes to", () => {
    // A sender that made the tree itself: the hashes are right, the lengths are not.
    const forged = (size: bigint, chunks: readonly Uint8Array[]): readonly boolean[] => {
      const own = createTree(
        chunks.map((chunk, index) => leafHash(index, chunk, native)),
        native,
      );
      const lying = { size, merkleRoot: merkleRootOf(own) };
      return chunks.map((chunk, index) => verifyChunk(lying, index, chunk, proofOf(own, index), native));
    };
    const [full, short, long] = [pattern(CHUNK_BYTES), pattern(CHUNK_BYTES - 1), pattern(CHUNK_BYTES + 1)];
    expect(forged(120_000n, [full, full])).toEqual([true, true]);
    expect(forged(119_999n, [full, short])).toEqual([true, true]);
    expect(forged(119_999n, [short, full])).toEqual([false, false]);
    expect(forged(120_000n, [long, short])).toEqual([false, false]);
    expect(forged(60_000n, [full, new Uint8Array()])).toEqual([false, false]);
    expect(forged(0n, [new Uint8Array()])).toEqual([true]);
    expect(forged(0n, [Uint8Array.of(0)])).toEqual([false]);
    expect(forged(1n, [new Uint8Array()])).toEqual([false]);
    // There is no third chunk in a stream of two, nor one without a sibling.
    const rooted = (index: number, data: Uint8Array): boolean =>
      verifyChunk({ size: 120_000n, merkleRoot: toHex(leafHash(index, data)) }, index, data, [], native);
    expect([rooted(2, new Uint8Array()), rooted(0, full), rooted(1, full)]).toEqual([false, false, false]);
  });

  test("the hash function that is given is the one that is used, for every hash", () => {
    let calls = 0;
    const counting: HashFunction = (label, ...parts) => {
      calls++;
      return hash(label, ...parts);
    };
    const used = (run: () => unknown): number => {
      calls = 0;
      run();
      return calls;
    };
    const [small, leaves] = [pattern(9), leavesOf(7)];
    expect(used(() => createTree(leaves, counting))).toBe(6);
    expect(used(() => manifestOf(small, counting))).toBe(1);
    expect(used(() => streamRootOf(small, counting))).toBe(2);
    expect(used(() => verifyManifest("00".repeat(32) as Hash, manifest, counting))).toBe(1);
    expect(used(() => verifyChunk(manifest, 6, chunkOf(bytes, 6), proofOf(tree, 6), counting))).toBe(3);
    // What cannot be right by its size alone is not hashed.
    expect(used(() => verifyChunk(manifest, 7, new Uint8Array(), [], counting))).toBe(0);
    expect(used(() => verifyChunk(manifest, 5, chunkOf(bytes, 6), proofOf(tree, 5), counting))).toBe(0);
    expect(used(() => verifyChunk(manifest, 6, chunkOf(bytes, 6), proofOf(tree, 5), counting))).toBe(0);
  });
});
