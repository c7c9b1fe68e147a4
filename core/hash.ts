import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, type Hex, toHex, uintBytes } from "./bytes.ts";
import { CHUNK_BYTES } from "./limits.ts";

/** `H("label", x, ...)` of the protocol: SHA-256 over the ASCII label, one zero byte and the parts. */
export function hash(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = sha256.create().update(prefixOf(label));
  for (const part of parts) state.update(part);
  return state.digest();
}

const prefixes = new Map<string, Uint8Array>();

/** There are a dozen labels; their bytes are made once. */
function prefixOf(label: string): Uint8Array {
  const known = prefixes.get(label);
  if (known !== undefined) return known;
  const prefix = ascii(`${label}\0`);
  prefixes.set(label, prefix);
  return prefix;
}

/** `H` as text, for names that live in the state. */
export const hashHex = (label: string, ...parts: readonly Uint8Array[]): Hex => toHex(hash(label, ...parts));

export function sha256Hex(bytes: Uint8Array): Hex {
  return toHex(sha256(bytes));
}

/** `hash`, or another implementation of it: the service hashes hundreds of megabytes with a native one. */
export type HashFunction = (label: string, ...parts: readonly Uint8Array[]) => Uint8Array;

/** The name of a transaction, snark or other item: the stream root of its bytes, signature included (7.4, 7.8). */
export function itemHash(bytes: Uint8Array): Hex {
  let level = leafHashes(bytes);
  while (level.length > 1) level = levelAbove(level);
  return hashHex("pollen/stream/1", uintBytes(bytes.length, 8), ...level);
}

/** One for each chunk; a stream of no bytes has one empty chunk (7.8). */
export function leafHashes(bytes: Uint8Array, hashWith: HashFunction = hash): readonly Uint8Array[] {
  const count = Math.max(1, Math.ceil(bytes.length / CHUNK_BYTES));
  return Array.from({ length: count }, (_, index) =>
    leafHash(index, bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES), hashWith),
  );
}

export const leafHash = (index: number, chunk: Uint8Array, hashWith: HashFunction = hash): Uint8Array =>
  hashWith("pollen/chunk/1", uintBytes(index, 4), chunk);

export const nodeHash = (left: Uint8Array, right: Uint8Array, hashWith: HashFunction = hash): Uint8Array =>
  hashWith("pollen/node/1", left, right);

/** The next level of the tree over chunks: pairs from the left, an odd node is carried up (7.8). */
export function levelAbove(
  level: readonly Uint8Array[],
  hashWith: HashFunction = hash,
): readonly Uint8Array[] {
  return level.flatMap((node, index) => {
    if (index % 2 === 1) return [];
    const right = level[index + 1];
    return [right === undefined ? node : nodeHash(node, right, hashWith)];
  });
}
