import type { PoolAction } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import { isAbove, noteFloor, noteRepair, presentFloor } from "../core/floors.ts";
import type { Hash, JobId, PeerId } from "../core/ids.ts";
import { COMMITMENT_AGE_MAX_MS, REFUSED_MAX, RING_MAX } from "../core/limits.ts";
import {
  appendEntry,
  holderOf,
  type NewEntry,
  type PoolEntry,
  type PoolLog,
  removeEntry,
} from "../core/pool-log.ts";
import { entryFor, hashOf, POOL_NAMES, type PoolInfo, type PoolName } from "../core/pools.ts";
import type { Priority } from "../core/priority.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { State } from "../core/state.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { forgetWake, wakeAt } from "./state.ts";

/** What is in the pools: the best `capacity` of all valid items, whatever the order in which they came (7.4, Promise). */

type PoolContents = Extract<PoolAction, { type: "pool/followTip" | "pool/expireCommitments" }>;

export const pools: Rules<PoolContents> = {
  "pool/followTip": {
    enabled: () => true,
    reduce: (draft, { change }, context) => {
      for (const hash of change.removed) {
        take(draft, "transaction", hash);
        draft.local = draft.local.delete(hash);
      }
      for (const jobId of change.jobsRemoved) dropJob(draft, jobId, context);
      draft.refused = SortedMap.from(
        change.removed.slice(0, REFUSED_MAX).map((hash) => [hash, "spent"] as const),
      );
      for (const info of change.returned) {
        const pool = "nonce" in info ? "transaction" : "snark";
        const refused = put(draft, pool, entryFor(info, draft.timeMs), context);
        if (refused !== null && refused.by !== hashOf(info)) keepInRing(draft, pool, hashOf(info), context);
      }
      offerLocalAgain(draft, context);
      for (const pool of POOL_NAMES) {
        noteFloorOf(draft, pool);
        if (!change.extendsOld) draft.floors = { ...draft.floors, [pool]: noteRepair(draft.floors[pool]) };
      }
      context.propose({ type: "work/review" });
      context.propose({ type: "work/choose" });
      for (const { peerId, live } of draft.peers.values()) {
        if (live === null) continue;
        const { attemptId } = live;
        for (const pool of POOL_NAMES) context.propose({ type: "pool/refloor", pool, peerId, attemptId });
      }
    },
  },

  "pool/expireCommitments": {
    enabled: () => true,
    reduce: (draft, _expire, { effect }) => {
      const pool = "snark-job-commitment";
      for (const { hash, info } of [...draft.pools[pool].entries.values()]) {
        if (expiryOf(info.issuedAt) > draft.timeMs) wakeForCommitment(draft, info.issuedAt);
        else {
          take(draft, pool, hash);
          effect({ type: "effect/forgetItems", hashes: [hash] });
        }
      }
    },
  },
};

/** What keeps an item out of its pool: one of higher priority in its slot, or a pool full of such items. */
export interface Refusal {
  /** The item that has its slot; null: the pool is full. */
  readonly by: Hash | null;
}

/**
 * Puts a valid item into its pool if nothing greater keeps it out, and tells everybody who waits for one.
 * @returns what keeps it out, or null
 */
export function put(
  draft: StateDraft,
  pool: PoolName,
  entry: NewEntry<PoolInfo>,
  context: Context,
): Refusal | null {
  const holder = holderOf<PoolInfo>(draft.pools[pool], entry);
  if (holder !== undefined) return { by: holder.hash };
  if (!hasRoomFor(draft, pool, entry)) return { by: null };
  const { pool: appended, replaced } = appendEntry<PoolInfo>(draft.pools[pool], entry);
  draft.pools = { ...draft.pools, [pool]: appended };
  if (replaced !== undefined) release(draft, pool, replaced, context);
  const overflow = appended.entries.size > capacityOf(draft, pool) ? lowestOf(appended) : undefined;
  if (overflow !== undefined) {
    draft.pools = { ...draft.pools, [pool]: removeEntry<PoolInfo>(draft.pools[pool], overflow.hash) };
    release(draft, pool, overflow, context);
  }
  noteFloorOf(draft, pool);
  if ("issuedAt" in entry.info) wakeForCommitment(draft, entry.info.issuedAt);
  for (const peerId of draft.waiting[pool].keys()) context.propose({ type: "pool/sendInfos", pool, peerId });
  if (pool !== "transaction") context.propose({ type: "work/review" });
  return null;
}

/** The floor that windows carry: items at or below it have no place in the pool. */
export const floorOf = (state: State, pool: PoolName): Priority | null => presentFloor(state.floors[pool]);

/** Nothing is known to keep it out: no greater one in its slot, no full pool, no refusal by the chain at this tip. */
export function isWanted(state: State, pool: PoolName, entry: NewEntry<PoolInfo>): boolean {
  return (
    holderOf<PoolInfo>(state.pools[pool], entry) === undefined &&
    hasRoomFor(state, pool, entry) &&
    !state.refused.has(entry.hash)
  );
}

export function setWaiting(draft: StateDraft, pool: PoolName, peerId: PeerId, waits: boolean): void {
  const waiting = draft.waiting[pool];
  if (waiting.has(peerId) === waits) return;
  const changed = waits ? waiting.set(peerId, true) : waiting.delete(peerId);
  draft.waiting = { ...draft.waiting, [pool]: changed };
}

const capacityOf = ({ config }: State, pool: PoolName): number =>
  // The others hold one item for each job of the chain, and the chain bounds those.
  pool === "transaction" ? config.capacity : Number.POSITIVE_INFINITY;

/** An item in the slot of a lesser one takes no room. */
function hasRoomFor(state: State, pool: PoolName, entry: NewEntry<PoolInfo>): boolean {
  const log: PoolLog<PoolInfo> = state.pools[pool];
  return log.bySlot.has(entry.slot) || isAbove(entry.priority, floorOf(state, pool));
}

function lowestOf(log: PoolLog<PoolInfo>): PoolEntry<PoolInfo> | undefined {
  const last = log.byPriority.last();
  return last === undefined ? undefined : log.entries.get(last[1]);
}

function noteFloorOf(draft: StateDraft, pool: PoolName): void {
  const log: PoolLog<PoolInfo> = draft.pools[pool];
  const isFull = log.entries.size >= capacityOf(draft, pool);
  const floor = isFull ? (lowestOf(log)?.priority ?? null) : null;
  const noted = noteFloor(draft.floors[pool], floor);
  if (noted !== draft.floors[pool]) draft.floors = { ...draft.floors, [pool]: noted };
}

/** The chain has let go of it, or is told to by the caller. */
function take(draft: StateDraft, pool: PoolName, hash: Hash): void {
  draft.pools = { ...draft.pools, [pool]: removeEntry<PoolInfo>(draft.pools[pool], hash) };
  noteFloorOf(draft, pool);
  if (draft.pools["snark-job-commitment"].entries.size === 0) forgetWake(draft, COMMITMENTS_WAKE);
}

/** A proof is not wanted any more: drops its SNARK work and commitment from the pools. */
function dropJob(draft: StateDraft, jobId: JobId, { effect }: Context): void {
  for (const pool of ["snark", "snark-job-commitment"] as const) {
    const hash = draft.pools[pool].bySlot.get(jobId);
    if (hash === undefined) continue;
    take(draft, pool, hash);
    effect({ type: "effect/forgetItems", hashes: [hash] });
  }
}

/** Evicted or replaced: what was made here is kept aside, the rest is still served for a while. */
function release(draft: StateDraft, pool: PoolName, { hash }: PoolEntry<PoolInfo>, context: Context): void {
  if (!draft.local.has(hash)) keepInRing(draft, pool, hash, context);
}

function keepInRing(draft: StateDraft, pool: PoolName, hash: Hash, context: Context): void {
  const ring = draft.rings[pool];
  const known = ring.numbers.get(hash);
  let hashes = (known === undefined ? ring.hashes : ring.hashes.delete(known)).set(ring.next, hash);
  let numbers = ring.numbers.set(hash, ring.next);
  const oldest = hashes.size > RING_MAX ? hashes.first() : undefined;
  if (oldest !== undefined) {
    hashes = hashes.delete(oldest[0]);
    numbers = numbers.delete(oldest[1]);
  }
  draft.rings = { ...draft.rings, [pool]: { next: ring.next + 1, hashes, numbers } };
  if (oldest !== undefined) forgetUnheld(draft, pool, oldest[1], context);
}

/** The chain keeps the bytes of what is valid until nobody here holds it any more. */
export function forgetUnheld(draft: StateDraft, pool: PoolName, hash: Hash, { effect }: Context): void {
  const isHeld =
    draft.pools[pool].entries.has(hash) || draft.local.has(hash) || draft.rings[pool].numbers.has(hash);
  if (!isHeld) effect({ type: "effect/forgetItems", hashes: [hash] });
}

/** Local items are kept aside by their origin and offered again when there is room (7.4, Promise). */
function offerLocalAgain(draft: StateDraft, context: Context): void {
  for (const info of [...draft.local.values()]) {
    put(draft, "nonce" in info ? "transaction" : "snark", entryFor(info, draft.timeMs), context);
  }
}

const expiryOf = (issuedAt: bigint): number => {
  assert(issuedAt < 1n << 53n, "a valid commitment was issued at about this time");
  return Number(issuedAt) + COMMITMENT_AGE_MAX_MS;
};

const COMMITMENTS_WAKE = "commitments";

function wakeForCommitment(draft: StateDraft, issuedAt: bigint): void {
  const [atMs, dueMs] = [expiryOf(issuedAt), draft.deadlines.byName.get(COMMITMENTS_WAKE)];
  if (dueMs === undefined || atMs < dueMs)
    wakeAt(draft, COMMITMENTS_WAKE, atMs, { type: "pool/expireCommitments" });
}
