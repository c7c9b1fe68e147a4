import { fromHex, type Hex, toHex, uintBytes } from "./bytes.ts";
import type { Manifest } from "./channels/streaming-rpc.ts";
import { type HashFunction, hash, leafHash, leafHashes, levelAbove, nodeHash } from "./hash.ts";
import type { Hash } from "./ids.ts";
import { CHUNK_BYTES } from "./limits.ts";

/**
 * Streams and the Merkle tree over their chunks (7.8). Everything takes the hash function to use, because the service
 * has a native one; they all compute `H` of the protocol.
 */

/** The levels from the leaves up to the one node that is the Merkle root. */
export type Tree = readonly (readonly Uint8Array[])[];

/** @param leafHashes of all chunks in their order, at least one */
export function createTree(leafHashes: readonly Uint8Array[], hashWith: HashFunction = hash): Tree {
  const levels = [leafHashes];
  for (let level = leafHashes; level.length > 1; ) {
    level = levelAbove(level, hashWith);
    levels.push(level);
  }
  return levels;
}

export const merkleRootOf = (tree: Tree): Hex => toHex(tree.at(-1)?.[0] ?? new Uint8Array());

/** Siblings from the bottom up; on a level where its node is the odd one, which is carried up, there is none. */
export function proofOf(tree: Tree, index: number): readonly Uint8Array[] {
  return tree.flatMap((level, height) => level[siblingOf(Math.floor(index / 2 ** height))] ?? []);
}

export const manifestOf = (bytes: Uint8Array, hashWith: HashFunction = hash): Manifest => ({
  size: BigInt(bytes.length),
  merkleRoot: merkleRootOf(createTree(leafHashes(bytes, hashWith), hashWith)),
});

/** The name of a stream whose bytes are at hand: what `itemHash` is for the bytes of an item. */
export const streamRootOf = (bytes: Uint8Array, hashWith: HashFunction = hash): Hash =>
  rootOf(manifestOf(bytes, hashWith), hashWith);

/** True if the manifest is that of the stream with this name, whoever it came from. */
export const verifyManifest = (root: Hash, manifest: Manifest, hashWith: HashFunction = hash): boolean =>
  rootOf(manifest, hashWith) === root;

/** Chunks of a stream of this size in bytes: all have CHUNK_BYTES but the last; no bytes are one empty chunk. */
export const chunkCount = (size: bigint): number =>
  size === 0n ? 1 : Number((size - 1n) / BigInt(CHUNK_BYTES)) + 1;

/**
 * True if `data` is the chunk with this index of the stream that a verified manifest describes. Sizes are checked
 * first: what has the wrong length, or a proof of the wrong length, is not hashed.
 */
export function verifyChunk(
  manifest: Manifest,
  index: number,
  data: Uint8Array,
  proof: readonly Uint8Array[],
  hashWith: HashFunction = hash,
): boolean {
  const count = chunkCount(manifest.size);
  if (index >= count || data.length !== chunkLength(manifest.size, index, count)) return false;
  const sides = sidesOf(index, count);
  if (proof.length !== sides.length) return false;
  let node = leafHash(index, data, hashWith);
  for (const [height, sibling] of proof.entries()) {
    node = sides[height] === true ? nodeHash(sibling, node, hashWith) : nodeHash(node, sibling, hashWith);
  }
  return toHex(node) === manifest.merkleRoot;
}

const rootOf = ({ size, merkleRoot }: Manifest, hashWith: HashFunction): Hash =>
  toHex(hashWith("pollen/stream/1", uintBytes(size, 8), fromHex(merkleRoot))) as Hash;

const chunkLength = (size: bigint, index: number, count: number): number =>
  index < count - 1 ? CHUNK_BYTES : Number(size - BigInt(index) * BigInt(CHUNK_BYTES));

/** Left and right of a pair stand at 2 n and 2 n + 1. */
const siblingOf = (index: number): number => (index % 2 === 0 ? index + 1 : index - 1);

/** Whether the siblings of a chunk stand to its left, from the bottom up, as `proofOf` lists them. */
function sidesOf(index: number, count: number): readonly boolean[] {
  const sides: boolean[] = [];
  for (let [place, width] = [index, count]; width > 1; width = Math.ceil(width / 2)) {
    const sibling = siblingOf(place);
    if (sibling < width) sides.push(sibling < place);
    place = Math.floor(place / 2);
  }
  return sides;
}
