import { createHash, hash } from "node:crypto";
import type { Manifest } from "../core/channels/streaming-rpc.ts";
import { type HashFunction, leafHash, nodeHash } from "../core/hash.ts";
import type { Provider } from "../core/services.ts";
import { chunkCount } from "../core/stream.ts";

/** The Merkle tree of a stream that is served (7.8): what proves each chunk. */
export interface ServedTree {
  readonly manifest: Manifest;
  /** Siblings from the bottom up; views of the tree. */
  readonly proofOf: (index: number) => readonly Uint8Array[];
}

export const HASH_BYTES = 32;

/** Hashed in one step of the upper levels: about as many bytes as a chunk has. */
const NODES_PER_STEP = 1_024;

/**
 * What `createTree` of core/stream.ts computes, for large streams: hashed by OpenSSL in steps of a chunk each, and with
 * one buffer per level, so that the tree of 256 MiB takes 280 KB.
 * @throws what `read` throws
 */
export function* treeSteps({ size, read }: Provider): Generator<void, ServedTree> {
  const chunks = chunkCount(BigInt(size));
  const leaves = new Uint8Array(chunks * HASH_BYTES);
  for (let index = 0; index < chunks; index++) {
    leaves.set(leafHash(index, read(index), nativeHash), index * HASH_BYTES);
    yield;
  }
  const levels = [leaves];
  let nodes = 0;
  for (let below = leaves; below.length > HASH_BYTES; ) {
    const level = new Uint8Array(Math.ceil(below.length / (2 * HASH_BYTES)) * HASH_BYTES);
    for (let at = 0; at < level.length; at += HASH_BYTES) {
      const [left, right] = [nodeAt(below, 2 * at), nodeAt(below, 2 * at + HASH_BYTES)];
      // An odd node is carried up.
      level.set(right.length === 0 ? left : nodeHash(left, right, nativeHash), at);
      nodes += 1;
      if (nodes % NODES_PER_STEP === 0) yield;
    }
    levels.push(level);
    below = level;
  }
  const merkleRoot = Buffer.from(levels.at(-1) ?? leaves).toString("hex");
  return { manifest: { size: BigInt(size), merkleRoot }, proofOf: (index) => proofIn(levels, index) };
}

/** `H` of the protocol by OpenSSL, several times as fast as the pure one. */
export const nativeHash: HashFunction = (label, ...parts) => {
  const length = parts.reduce((sum, part) => sum + part.length, label.length + 1);
  if (length <= short.length) return hashShort(label, parts, length);
  const state = createHash("sha256").update(`${label}\0`);
  for (const part of parts) state.update(part);
  return state.digest();
};

/** In one call, without the stream that a hash object is: of each chunk there are a dozen nodes, all of them short. */
function hashShort(label: string, parts: readonly Uint8Array[], length: number): Uint8Array {
  let at = short.write(label, "latin1");
  short[at++] = 0;
  for (const part of parts) {
    short.set(part, at);
    at += part.length;
  }
  return hash("sha256", short.subarray(0, length), "buffer");
}

const short = Buffer.alloc(256);

const nodeAt = (level: Uint8Array, at: number): Uint8Array => level.subarray(at, at + HASH_BYTES);

function proofIn(levels: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  const proof: Uint8Array[] = [];
  for (const [height, level] of levels.entries()) {
    const place = Math.floor(index / 2 ** height);
    const sibling = nodeAt(level, (place % 2 === 0 ? place + 1 : place - 1) * HASH_BYTES);
    if (level.length > HASH_BYTES && sibling.length > 0) proof.push(sibling);
  }
  return proof;
}
