import { assert } from "./assert.ts";
import type { Cursor, PermitWindow } from "./channels/permits.ts";
import { isAbove } from "./floors.ts";
import type { Hash } from "./ids.ts";
import { comparePriority, type Priority, priorityKey } from "./priority.ts";
import { SortedMap } from "./sorted-map.ts";

/**
 * A pool and its append-only log, one structure with one invariant: every live log entry is a pool entry and the
 * other way round (P22). An entry keeps its index for life, an entry that changes is removed and appended, and
 * removed indexes stay holes; so one index per peer says what that peer was already offered (7.4).
 */
export interface PoolLog<Info> {
  /** Random per process and pool: tells peers that old indexes mean nothing any more. */
  readonly epoch: bigint;
  readonly nextIndex: number;
  readonly entries: SortedMap<Hash, PoolEntry<Info>>;
  readonly byIndex: SortedMap<number, Hash>;
  /** Keys of `priorityKey`: the greatest priority first. */
  readonly byPriority: SortedMap<string, Hash>;
  /** Of two items in the same slot the greater priority stays (section 6). */
  readonly bySlot: SortedMap<string, Hash>;
}

export interface PoolEntry<Info> {
  readonly hash: Hash;
  readonly index: number;
  readonly slot: string;
  readonly priority: Priority;
  readonly info: Info;
  readonly addedMs: number;
}

export type NewEntry<Info> = Omit<PoolEntry<Info>, "index">;

export const emptyPool = <Info>(epoch: bigint): PoolLog<Info> => ({
  epoch,
  nextIndex: 0,
  entries: SortedMap.empty(),
  byIndex: SortedMap.empty(),
  byPriority: SortedMap.empty(),
  bySlot: SortedMap.empty(),
});

/** The entry that keeps this one out: itself, or one of at least its priority in the same slot. */
export function holderOf<Info>(
  pool: PoolLog<Info>,
  candidate: Pick<NewEntry<Info>, "hash" | "slot" | "priority">,
): PoolEntry<Info> | undefined {
  const same = pool.entries.get(candidate.hash);
  if (same !== undefined) return same;
  const holder = slotHolder(pool, candidate.slot);
  return holder !== undefined && comparePriority(holder.priority, candidate.priority) <= 0
    ? holder
    : undefined;
}

/** Appends an entry that nothing keeps out; `replaced` is the lesser one that made room in its slot. */
export function appendEntry<Info>(
  pool: PoolLog<Info>,
  entry: NewEntry<Info>,
): { readonly pool: PoolLog<Info>; readonly replaced: PoolEntry<Info> | undefined } {
  assert(holderOf(pool, entry) === undefined, "an appended entry is new and the greatest of its slot");
  const replaced = slotHolder(pool, entry.slot);
  const room = replaced === undefined ? pool : removeEntry(pool, replaced.hash);
  const index = room.nextIndex;
  return {
    pool: {
      epoch: room.epoch,
      nextIndex: index + 1,
      entries: room.entries.set(entry.hash, { ...entry, index }),
      byIndex: room.byIndex.set(index, entry.hash),
      byPriority: room.byPriority.set(priorityKey(entry.priority), entry.hash),
      bySlot: room.bySlot.set(entry.slot, entry.hash),
    },
    replaced,
  };
}

export function removeEntry<Info>(pool: PoolLog<Info>, hash: Hash): PoolLog<Info> {
  const entry = pool.entries.get(hash);
  if (entry === undefined) return pool;
  return {
    ...pool,
    entries: pool.entries.delete(hash),
    byIndex: pool.byIndex.delete(entry.index),
    byPriority: pool.byPriority.delete(priorityKey(entry.priority)),
    bySlot: pool.bySlot.delete(entry.slot),
  };
}

/** What answers a permit: at most `limit` infos, where the cursor stands then, and how far the band was served. */
export interface PoolAnswer<Info> {
  readonly items: readonly Info[];
  readonly cursor: number;
  readonly rest: Priority | null;
}

/**
 * Answers a permit from the cursor of its giver (7.4): first what was appended since, then the band from its top
 * downward. Items at or below the floor, and those that the giver has told of itself, are passed over and the cursor
 * moves on. `answer` is null as long as there is nothing to say; the cursor may have moved all the same.
 */
export function answerPermit<Info>(
  pool: PoolLog<Info>,
  from: number,
  limit: number,
  window: PermitWindow,
  heard: readonly Hash[],
): PermitAnswered<Info> {
  const items: Info[] = [];
  let cursor = from;
  let looked = 0;
  for (const [index, hash] of pool.byIndex.entries(from)) {
    if (items.length === limit) break;
    cursor = index + 1;
    if (heard.includes(hash)) continue;
    const entry = entryOf(pool, hash);
    looked += 1;
    if (isAbove(entry.priority, window.floor)) items.push(entry.info);
  }
  if (items.length < limit) cursor = pool.nextIndex;
  if (window.band === null) {
    const answer = items.length === 0 ? null : { items, cursor, rest: window.floor };
    return { cursor, answer, cost: looked - items.length };
  }
  const appended = items.length;
  const served = serveBand(pool, from, limit, window.band, window.floor, items);
  return { cursor, answer: { items, cursor, rest: served.rest }, cost: looked - appended + served.looked };
}

export interface PermitAnswered<Info> {
  readonly cursor: number;
  readonly answer: PoolAnswer<Info> | null;
  /** Entries that were looked at in vain, and those of the band: what the answer cost beyond what was new. */
  readonly cost: number;
}

/** The indexes of a resumed cursor mean something only in the same epoch and within the log. */
export function resumeIndex<Info>(pool: PoolLog<Info>, resume: Cursor): number {
  return resume.epoch === pool.epoch && resume.next <= BigInt(pool.nextIndex) ? Number(resume.next) : 0;
}

/** @returns rest: the first of (floor, band] before the cursor that did not fit, where the next band begins */
function serveBand<Info>(
  pool: PoolLog<Info>,
  from: number,
  limit: number,
  band: Priority,
  floor: Priority | null,
  items: Info[],
): { readonly rest: Priority | null; readonly looked: number } {
  let looked = 0;
  for (const [, hash] of pool.byPriority.entries(priorityKey(band))) {
    const entry = entryOf(pool, hash);
    if (!isAbove(entry.priority, floor)) break;
    looked += 1;
    if (entry.index >= from) continue;
    if (items.length === limit) return { rest: entry.priority, looked };
    items.push(entry.info);
  }
  return { rest: floor, looked };
}

function slotHolder<Info>(pool: PoolLog<Info>, slot: string): PoolEntry<Info> | undefined {
  const hash = pool.bySlot.get(slot);
  return hash === undefined ? undefined : entryOf(pool, hash);
}

function entryOf<Info>(pool: PoolLog<Info>, hash: Hash): PoolEntry<Info> {
  const entry = pool.entries.get(hash);
  assert(entry !== undefined, "every hash in an index of a pool is an entry of that pool");
  return entry;
}
