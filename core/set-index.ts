import { fromHex, uintBytes } from "./bytes.ts";
import { hash } from "./hash.ts";
import type { Hash } from "./ids.ts";

/**
 * A set of hashes by their short ids under one salt, as both sides of a reconciliation (7.7) need it: the fingerprint
 * of any range costs two look-ups.
 */
export interface SetIndex {
  /** Ascending, each once. */
  readonly ids: readonly bigint[];
  /** In the order of `ids`. */
  readonly hashes: readonly Hash[];
  /** Entry n: the xor of the first n ids. */
  readonly xors: readonly bigint[];
  /** Entry n: the sum of the first n ids. */
  readonly sums: readonly bigint[];
}

/** Ids from the first to the last, inclusive. */
export interface Span {
  readonly from: bigint;
  readonly to: bigint;
}

/** What is said of ids without naming them: `sum` is mod 2^64. */
export interface Fingerprint {
  readonly count: number;
  readonly xor: bigint;
  readonly sum: bigint;
}

/** Also the mask that reduces a sum, even a negative one, mod 2^64. */
export const ID_MAX = 2n ** 64n - 1n;

/** The first eight bytes of `H("pollen/short/1", salt, hash)`: who does not know the salt cannot aim at them. */
export const shortId = (salt: bigint, name: Hash): bigint => shortIdOf(uintBytes(salt, 8), name);

/** Costs a hash per entry: make it once for a set and a salt. */
export function createIndex(salt: bigint, hashes: Iterable<Hash>): SetIndex {
  const saltBytes = uintBytes(salt, 8);
  const named = Array.from(hashes, (name) => ({ id: shortIdOf(saltBytes, name), name }));
  named.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  // An asker can choose a salt under which two of our hashes collide. They are one id, else a range could not be split.
  const unique = named.filter(({ id }, place) => id !== named[place - 1]?.id);
  let [xor, sum] = [0n, 0n];
  const [xors, sums] = [[xor], [sum]];
  for (const { id } of unique) {
    xor ^= id;
    sum += id;
    xors.push(xor);
    sums.push(sum);
  }
  return { ids: unique.map(({ id }) => id), hashes: unique.map(({ name }) => name), xors, sums };
}

export const hasId = (index: SetIndex, id: bigint): boolean => index.ids[placeOf(index, id)] === id;

export function hashOfShortId(index: SetIndex, id: bigint): Hash | undefined {
  const place = placeOf(index, id);
  return index.ids[place] === id ? index.hashes[place] : undefined;
}

export const isWithin = (id: bigint, { from, to }: Span): boolean => id >= from && id <= to;

export const idsWithin = (index: SetIndex, span: Span): readonly bigint[] =>
  index.ids.slice(...placesOf(index, span));

export const fingerprintOf = (index: SetIndex, span: Span): Fingerprint =>
  fingerprintAt(index, placesOf(index, span));

export const fingerprintOfIds = (ids: readonly bigint[]): Fingerprint => ({
  count: ids.length,
  xor: ids.reduce((xor, id) => xor ^ id, 0n),
  sum: ids.reduce((sum, id) => (sum + id) & ID_MAX, 0n),
});

export const equalFingerprints = (a: Fingerprint, b: Fingerprint): boolean =>
  a.count === b.count && a.xor === b.xor && a.sum === b.sum;

/** The span in parts with equal numbers of ids, give or take one. It has at least as many ids as there are parts. */
export function splitByCount(index: SetIndex, span: Span, parts: number): readonly (Span & Fingerprint)[] {
  const [start, end] = placesOf(index, span);
  const placeAt = (part: number): number => start + Math.floor(((end - start) * part) / parts);
  return Array.from({ length: parts }, (_, part) => {
    const [first, next] = [placeAt(part), placeAt(part + 1)];
    // Between two ids a part begins with the second: together the parts are the whole span.
    const from = part === 0 ? span.from : (index.ids[first] ?? span.from);
    const to = part === parts - 1 ? span.to : (index.ids[next] ?? span.to) - 1n;
    return { from, to, ...fingerprintAt(index, [first, next]) };
  });
}

/** The first place of a span in the index, and the one after the last. */
type Places = readonly [number, number];

const placesOf = (index: SetIndex, { from, to }: Span): Places => [
  placeOf(index, from),
  placeOf(index, to + 1n),
];

/** The place of the first id that is not less. */
function placeOf({ ids }: SetIndex, id: bigint): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? id) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

const fingerprintAt = ({ xors, sums }: SetIndex, [start, end]: Places): Fingerprint => ({
  count: end - start,
  xor: (xors[start] ?? 0n) ^ (xors[end] ?? 0n),
  sum: ((sums[end] ?? 0n) - (sums[start] ?? 0n)) & ID_MAX,
});

function shortIdOf(salt: Uint8Array, name: Hash): bigint {
  const digest = hash("pollen/short/1", salt, fromHex(name));
  return new DataView(digest.buffer, digest.byteOffset).getBigUint64(0, true);
}
