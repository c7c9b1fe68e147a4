import { assert } from "./assert.ts";
import { hex, struct, u16 } from "./codec/schema.ts";
import type { Hash } from "./ids.ts";

/** One order of importance for every node, independent of the order of arrival (section 6). */
export interface Priority {
  readonly class: number;
  readonly hash: Hash;
}

const CLASS_MAX = 65_535;

/** No item is above it: "everything" of a band. */
export const GREATEST_PRIORITY: Priority = { class: CLASS_MAX, hash: "00".repeat(32) as Hash };

export const prioritySchema = struct({ class: u16, hash: hex<Hash>(32) });

/**
 * s(0) = 1, s(k+1) = s(k) + max(1, ceil(s(k) / 10)): the least fee of each class beyond 0, up to the greatest
 * u64. Classes are steps of ten percent, so that a fee must be raised noticeably to matter.
 */
const CLASS_STARTS: readonly bigint[] = (() => {
  const starts: bigint[] = [];
  for (let start = 1n; start < 1n << 64n; ) {
    starts.push(start);
    const tenth = (start + 9n) / 10n;
    start += tenth > 1n ? tenth : 1n;
  }
  return starts;
})();

/** The number of k >= 0 with s(k) <= fee. */
export function feeClass(fee: bigint): number {
  let [low, high] = [0, CLASS_STARTS.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const start = CLASS_STARTS[middle];
    assert(start !== undefined, "the middle of a search lies within the table");
    if (start <= fee) low = middle + 1;
    else high = middle;
  }
  return low;
}

export const transactionPriority = (info: { readonly fee: bigint; readonly hash: Hash }): Priority => ({
  class: feeClass(info.fee),
  hash: info.hash,
});

/** Cheaper is better. */
export const snarkPriority = (info: { readonly fee: bigint; readonly hash: Hash }): Priority => ({
  class: CLASS_MAX - feeClass(info.fee),
  hash: info.hash,
});

/** Negative if `a` is greater (served and kept first): the greater class, then the smaller hash. */
export function comparePriority(a: Priority, b: Priority): number {
  if (a.class !== b.class) return b.class - a.class;
  return a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0;
}

/** Text whose ascending order is the descending order of priorities: a key of sorted maps. */
export const priorityKey = (priority: Priority): string =>
  (CLASS_MAX - priority.class).toString(16).padStart(4, "0") + priority.hash;
