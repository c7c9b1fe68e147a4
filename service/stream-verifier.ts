import type { Manifest } from "../core/channels/streaming-rpc.ts";
import { leafHash, nodeHash } from "../core/hash.ts";
import { CHUNK_BYTES } from "../core/limits.ts";
import type { LoadedChunk } from "../core/services.ts";
import { chunkCount } from "../core/stream.ts";
import { HASH_BYTES, nativeHash } from "./stream-tree.ts";

/** True if this is the chunk with this index. */
export type ChunkVerifier = (index: number, chunk: LoadedChunk) => boolean;

/** One level of the Merkle tree: the nodes that a chunk has proven so far. */
interface Level {
  readonly width: number;
  readonly nodes: Buffer;
  readonly isKnown: Uint8Array;
}

/**
 * Judges the chunks of one stream as `verifyChunk` of core/stream.ts does, but hashes no node a second time: a chunk
 * whose neighbours were verified takes one or two hashes instead of one for each level, a dozen in 256 MiB.
 */
export function createChunkVerifier({ size, merkleRoot }: Manifest): ChunkVerifier {
  const count = chunkCount(size);
  const levels = levelsOf(count, Buffer.from(merkleRoot, "hex"));
  const last = count - 1;
  const lastLength = Number(size) - last * CHUNK_BYTES;
  return (index, { data, proof }) => {
    if (index > last || data.length !== (index < last ? CHUNK_BYTES : lastLength)) return false;
    if (proof.length !== siblingsOf(levels, index)) return false;
    const path = climb(levels, index, leafHash(index, data, nativeHash), proof);
    if (path === null) return false;
    for (const { level, place, node } of path) {
      level.nodes.set(node, place * HASH_BYTES);
      level.isKnown[place] = 1;
    }
    return true;
  };
}

interface Proven {
  readonly level: Level;
  readonly place: number;
  readonly node: Uint8Array;
}

function levelsOf(count: number, root: Uint8Array): readonly Level[] {
  const levels: Level[] = [];
  for (let width = count; ; width = Math.ceil(width / 2)) {
    levels.push({ width, nodes: Buffer.alloc(width * HASH_BYTES), isKnown: new Uint8Array(width) });
    if (width === 1) break;
  }
  const top = levels.at(-1);
  top?.nodes.set(root);
  top?.isKnown.fill(1);
  return levels;
}

/** From a leaf up to the first node that is known, and from there on by comparing. Null: it is not the tree's. */
function climb(
  levels: readonly Level[],
  index: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
): readonly Proven[] | null {
  const proven: Proven[] = [];
  let [node, place, used] = [leaf, index, 0];
  let isProven = false;
  for (const level of levels) {
    if (!isProven && level.isKnown[place] === 1) {
      if (nodeOf(level, place).compare(node) !== 0) return null;
      isProven = true;
    }
    const besides = siblingOf(place);
    const sibling = besides < level.width ? proof[used] : undefined;
    if (sibling !== undefined) used += 1;
    if (isProven) {
      // Who proved this node has proved the one besides it too.
      if (sibling !== undefined && nodeOf(level, besides).compare(sibling) !== 0) return null;
    } else {
      proven.push({ level, place, node });
      if (sibling !== undefined) {
        proven.push({ level, place: besides, node: sibling });
        node = besides < place ? nodeHash(sibling, node, nativeHash) : nodeHash(node, sibling, nativeHash);
      }
    }
    place = Math.floor(place / 2);
  }
  return proven;
}

/** How many hashes the proof of a chunk has: an odd node is carried up, and has no sibling. */
function siblingsOf(levels: readonly Level[], index: number): number {
  let [siblings, place] = [0, index];
  for (const { width } of levels) {
    if (siblingOf(place) < width) siblings += 1;
    place = Math.floor(place / 2);
  }
  return siblings;
}

const siblingOf = (place: number): number => (place % 2 === 0 ? place + 1 : place - 1);

const nodeOf = ({ nodes }: Level, place: number): Buffer =>
  nodes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);
