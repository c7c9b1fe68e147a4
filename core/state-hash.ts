import { sha256 } from "@noble/hashes/sha2.js";
import { assert } from "./assert.ts";
import { type Hex, toHex } from "./bytes.ts";
import { encodeUtf8 } from "./codec/utf8.ts";
import { SortedMap } from "./sorted-map.ts";

/**
 * SHA-256 over a state in canonical form: equal states have equal hashes on every machine, whatever their history.
 * Records never change once made, so the hash of each is computed once and remembered with it: hashing the next
 * state costs only what is new in it, plus a look at each entry of the large maps.
 */
export const stateHash = (state: object): Hex => toHex(hashOf(state));

/** The hash of each field of a state, shortened: tells where two states differ. */
export const fieldHashes = (state: object): Readonly<Record<string, Hex>> =>
  Object.fromEntries(
    Object.entries(state).map(([field, value]) => [field, toHex(sha256(leafBytes(value))).slice(0, 16)]),
  );

const remembered = new WeakMap<object, Uint8Array>();

function hashOf(value: object): Uint8Array {
  const known = remembered.get(value);
  if (known !== undefined) return known;
  const hash = sha256.create();
  for (const part of parts(value))
    hash.update(typeof part === "string" ? encodeUtf8(`${part.length}:${part}`) : part);
  const digest = hash.digest();
  remembered.set(value, digest);
  return digest;
}

/** The kind first, then every entry in order: no two different values have the same sequence of parts. */
function* parts(value: object): Generator<string | Uint8Array> {
  if (value instanceof SortedMap) {
    yield* ["map", String(value.size)];
    for (const [key, entry] of value.entries()) yield* [typeof key, String(key), leaf(entry)];
  } else if (Array.isArray(value)) {
    yield* ["array", String(value.length)];
    for (const entry of value) yield leaf(entry);
  } else if (value instanceof Uint8Array) {
    yield* ["bytes", String(value.length), value];
  } else {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    yield* ["record", String(entries.length)];
    for (const [key, entry] of entries) yield* [key, leaf(entry)];
  }
}

function leaf(value: unknown): string | Uint8Array {
  if (value === null) return "null";
  switch (typeof value) {
    case "string":
      return `s${value}`;
    case "number":
    case "bigint":
    case "boolean":
      return `${typeof value} ${value}`;
    case "object":
      return hashOf(value);
    default:
      assert(false, `the state is plain: it has no ${typeof value}`);
  }
}

function leafBytes(value: unknown): Uint8Array {
  const encoded = leaf(value);
  return typeof encoded === "string" ? encodeUtf8(encoded) : encoded;
}
