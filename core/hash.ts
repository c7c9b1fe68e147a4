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

export function sha256Hex(bytes: Uint8Array): Hex {
  return toHex(sha256(bytes));
}

/** The name of a transaction, snark or other item: the stream root of its bytes, signature included (7.4, 7.8). */
export function itemHash(bytes: Uint8Array): Hex {
  return toHex(hash("pollen/stream/1", uintBytes(bytes.length, 8), merkleRoot(bytes)));
}

function merkleRoot(bytes: Uint8Array): Uint8Array {
  let level: Uint8Array[] = [];
  for (let offset = 0, index = 0; index === 0 || offset < bytes.length; offset += CHUNK_BYTES, index++) {
    level.push(hash("pollen/chunk/1", uintBytes(index, 4), bytes.subarray(offset, offset + CHUNK_BYTES)));
  }
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let index = 0; index < level.length; index += 2) {
      const [left, right] = [level[index], level[index + 1]];
      if (left !== undefined) above.push(right === undefined ? left : hash("pollen/node/1", left, right));
    }
    level = above;
  }
  const [root] = level;
  if (root === undefined) throw new Error("a stream has at least one chunk");
  return root;
}
