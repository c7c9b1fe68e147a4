import type { ChainEvent, FetchAction } from "../core/actions.ts";
import type { ItemVerdict } from "../core/chain.ts";
import { unsettledOf } from "../core/channels/permits.ts";
import type { Found } from "../core/channels/rpc.ts";
import { isAbove } from "../core/floors.ts";
import { itemHash } from "../core/hash.ts";
import type { BatchId, Hash, PeerId } from "../core/ids.ts";
import { ASKED_AT_ONCE_MAX, HEDGE_MS, REFUSED_MAX, RPC_HASHES_MAX } from "../core/limits.ts";
import {
  commitmentBytes,
  entryFor,
  FETCHED_POOLS,
  type FetchedPool,
  type PoolInfo,
  type PoolName,
  sameInfo,
} from "../core/pools.ts";
import { comparePriority, GREATEST_PRIORITY, type Priority } from "../core/priority.ts";
import type { Reason } from "../core/reasons.ts";
import type { CommandResult, ItemBytes } from "../core/services.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { Batch, Fetch, Promptness, State } from "../core/state.ts";
import { canRequest, openRequest } from "./channels/rpc.ts";
import { noteAsked, notePromptness, noteWithheld } from "./fetch-record.ts";
import { forgetUnheld, isWanted, put } from "./pools.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { forgetWake, liveAttempt, livePeer, updateLive, updatePermits, wakeAt } from "./state.ts";

/**
 * 7.4, Fetch: from an announcement to the pool. Every announcer of an item is an alternate; one is asked at a time, and
 * the next as well if it takes too long. A body is checked by its hash, verified, and kept or dropped for a reason.
 */

type Verified = Extract<ChainEvent, { type: "event/itemsVerified" }>;

export const fetch: Rules<FetchAction | Verified> = {
  "fetch/announce": {
    enabled: (state, { pool, peerId, info }) =>
      unsettledIn(state, peerId, pool).includes(entryFor(info, 0).hash),
    reduce: (draft, { pool, peerId, info }, context) => {
      const entry = entryFor(info, draft.timeMs);
      const { hash, priority } = entry;
      const held: PoolInfo | undefined = draft.pools[pool].entries.get(hash)?.info;
      if (held !== undefined && !sameInfo(held, info)) {
        blame(draft, peerId, "itemMismatch", `announced ${hash} with wrong data`, context);
      } else if (!isWanted(draft, pool, entry)) {
        if (draft.refused.get(hash) === "notNow") raiseLack(draft, pool, peerId, priority);
        settle(draft, pool, peerId, hash, context);
      } else {
        const known = draft.fetches.get(hash);
        const fetching: Fetch = known ?? {
          hash,
          pool,
          priority,
          announcers: SortedMap.empty(),
          stage: { tag: "waiting" },
        };
        const announcers = fetching.announcers.set(peerId, info);
        draft.fetches = draft.fetches.set(hash, { ...fetching, announcers });
      }
    },
  },

  "fetch/next": {
    enabled: (state, { peerId }) =>
      wantedCommitments(state, peerId).length > 0 ||
      FETCHED_POOLS.some((pool) => canFetch(state, peerId, pool)),
    reduce: (draft, { peerId }, context) => {
      const complete = wantedCommitments(draft, peerId);
      if (complete.length > 0) {
        context.dispatch({
          type: "fetch/verify",
          peerId,
          pool: "snark-job-commitment",
          items: complete,
          requestId: null,
        });
      }
      const pool = FETCHED_POOLS.find((name) => canFetch(draft, peerId, name));
      if (pool !== undefined) context.propose({ type: "fetch/request", pool, peerId });
    },
  },

  "fetch/request": {
    enabled: (state, { pool, peerId }) => canFetch(state, peerId, pool),
    reduce: (draft, { pool, peerId }, context) => {
      ask(draft, peerId, pool, context);
    },
  },

  "fetch/hedge": {
    enabled: (state, { pool, peerId, attemptId }) =>
      typeof liveAttempt(state, peerId, attemptId)?.fetching[pool] === "number",
    reduce: (draft, { pool, peerId }, { propose }) => {
      notePromptness(draft, peerId, "slow");
      for (const hash of requestedHashes(draft, peerId, pool)) {
        const fetching = draft.fetches.get(hash);
        if (!isLastAsked(fetching, peerId)) continue;
        draft.fetches = draft.fetches.set(hash, { ...fetching, stage: { ...fetching.stage, isLate: true } });
      }
      // What else it announced is better asked of others first.
      const announced = FETCHED_POOLS.flatMap((name) => unsettledIn(draft, peerId, name));
      for (const other of announcersOf(draft, announced)) propose({ type: "fetch/next", peerId: other });
    },
  },

  "fetch/fail": {
    enabled: (state, { peerId, hash }) => state.fetches.get(hash)?.announcers.has(peerId) ?? false,
    reduce: (draft, { peerId, hash, why }, context) => {
      const pool = draft.fetches.get(hash)?.pool;
      if (pool === undefined) return;
      if (why === "timeout") notePromptness(draft, peerId, "slow");
      // What has to be streamed is no item of a chain whose items fit into a message, but it was not withheld.
      if (why !== "tooLarge") noteWithheld(draft, peerId, context);
      withdraw(draft, peerId, hash, context);
      settle(draft, pool, peerId, hash, context);
    },
  },

  "fetch/answered": {
    enabled: (state, { peerId }) => livePeer(state, peerId) !== undefined,
    reduce: (draft, { peerId, request, response }, context) => {
      if (request.tag !== "transactions" && request.tag !== "snarks") return;
      const pool = request.tag === "snarks" ? "snark" : "transaction";
      endFetching(draft, peerId, pool, response?.tag === "items" && response.found.some(isSome));
      if (response?.tag === "items") {
        receive(draft, peerId, pool, request.hashes, response.found, context);
        return;
      }
      const why = response === null ? "timeout" : "none";
      for (const hash of request.hashes) context.propose({ type: "fetch/fail", peerId, hash, why });
    },
  },

  "fetch/verify": {
    enabled: (_state, { items }) => items.length > 0,
    reduce: (draft, { peerId, pool, items, requestId }, { effect }) => {
      const hashes = items.map(({ hash }) => hash);
      const batchId = openBatch(draft, { pool, hashes, requestId, isLocal: peerId === null });
      effect({ type: "effect/verifyItems", peerId, batchId, pool, items });
    },
  },

  "event/itemsVerified": {
    enabled: (state, { batchId, verdicts }) => {
      const batch = state.batches.get(batchId);
      return batch !== undefined && (verdicts === null || batch.hashes.length === verdicts.length);
    },
    reduce: (draft, { batchId, verdicts }, { dispatch, effect }) => {
      const batch = draft.batches.get(batchId);
      if (batch === undefined) return;
      draft.batches = draft.batches.delete(batchId);
      const { pool, hashes, requestId, isLocal } = batch;
      if (verdicts === null && hashes.length > 1) {
        // One bad item must not take the others with it (P07).
        const middle = hashes.length >> 1;
        for (const half of [hashes.slice(0, middle), hashes.slice(middle)]) {
          const halfId = openBatch(draft, { ...batch, hashes: half });
          effect({ type: "effect/verifyAgain", batchId: halfId, pool, hashes: half });
        }
        return;
      }
      for (const [index, hash] of hashes.entries()) {
        const verdict = verdicts?.[index] ?? INVALID_ALONE;
        dispatch({ type: "fetch/conclude", pool, hash, verdict, requestId, isLocal });
      }
    },
  },

  "fetch/conclude": {
    enabled: () => true,
    reduce: (draft, { pool, hash, verdict, requestId, isLocal }, context) => {
      const fetching = draft.fetches.get(hash);
      for (const [peerId, info] of fetching?.announcers.entries() ?? []) {
        if (verdict.tag === "invalid") {
          blame(draft, peerId, "invalidItem", `announced ${hash}: ${verdict.detail}`, context);
        } else if (verdict.tag === "valid" && !sameInfo(verdict.info, info)) {
          blame(draft, peerId, "itemMismatch", `announced ${hash} with wrong data`, context);
        } else {
          if (verdict.tag === "notNow") raiseLack(draft, pool, peerId, fetching?.priority ?? null);
          settle(draft, pool, peerId, hash, context);
        }
      }
      draft.fetches = draft.fetches.delete(hash);
      const result = keep(draft, pool, hash, verdict, isLocal, context);
      if (verdict.tag === "valid") context.propose({ type: "sync/noteKept", hash });
      if (requestId !== null) context.effect({ type: "effect/answerCommand", requestId, result });
    },
  },
};

/** A peer serves this item no more: the next announcer is asked, and without one the item is given up. */
export function withdraw(draft: StateDraft, peerId: PeerId, hash: Hash, { propose }: Context): void {
  const fetching = draft.fetches.get(hash);
  if (fetching === undefined) return;
  raiseLack(draft, fetching.pool, peerId, fetching.priority);
  const announcers = fetching.announcers.delete(peerId);
  if (announcers.size === 0) {
    draft.fetches = draft.fetches.delete(hash);
    return;
  }
  draft.fetches = draft.fetches.set(hash, { ...fetching, announcers });
  unask(draft, { ...fetching, announcers }, peerId);
  // Also where others are asked already: they may be late, and this one made room.
  for (const other of announcers.keys()) propose({ type: "fetch/next", peerId: other });
}

/** What this peer is being asked for in its slot for a pool. */
export function requestedHashes(state: State, peerId: PeerId, pool: FetchedPool): readonly Hash[] {
  const live = livePeer(state, peerId);
  const request = live?.rpc?.ours.find(({ id }) => id === live.fetching[pool]);
  return request !== undefined && "hashes" in request.body ? request.body.hashes : [];
}

const INVALID_ALONE: ItemVerdict = { tag: "invalid", detail: "it does not pass verification" };

/** This peer is not asked any more; without anybody else who is, the item waits again. */
function unask(draft: StateDraft, fetching: Fetch, peerId: PeerId): void {
  const { stage, hash } = fetching;
  if (stage.tag !== "requested") return;
  const from = stage.from.filter((asked) => asked !== peerId);
  draft.fetches = draft.fetches.set(hash, {
    ...fetching,
    stage: from.length === 0 ? { tag: "waiting" } : { ...stage, from },
  });
}

function ask(draft: StateDraft, peerId: PeerId, pool: FetchedPool, context: Context): void {
  const { propose } = context;
  const live = livePeer(draft, peerId);
  const id = live?.rpc?.nextId;
  if (live === undefined || id === undefined) return;
  const all = wanted(draft, peerId, pool);
  const hashes = all.slice(0, RPC_HASHES_MAX);
  for (const hash of hashes) {
    draft.fetches = draft.fetches.update(hash, (fetching) => {
      const asked = fetching.stage.tag === "requested" ? fetching.stage.from : [];
      return { ...fetching, stage: { tag: "requested", from: [...asked, peerId], isLate: false } };
    });
  }
  updateLive(draft, peerId, (changed) => {
    changed.fetching = { ...changed.fetching, [pool]: id };
  });
  noteAsked(draft, peerId, hashes.length);
  const body =
    pool === "transaction"
      ? ({ tag: "transactions", hashes } as const)
      : ({ tag: "snarks", hashes } as const);
  openRequest(draft, peerId, "fetch", body, context);
  // The rest may have been left to this one: now it is busy, and the others need not wait.
  for (const other of announcersOf(draft, all.slice(RPC_HASHES_MAX)))
    propose({ type: "fetch/next", peerId: other });
  propose({ type: "fetch/next", peerId });
  const { attemptId } = live;
  const hedge = { type: "fetch/hedge", pool, peerId, attemptId } as const;
  wakeAt(draft, `hedge ${pool} ${attemptId}`, draft.timeMs + HEDGE_MS, hedge);
}

/** The slot is free again; whoever served something before others had to be asked is prompt. */
function endFetching(draft: StateDraft, peerId: PeerId, pool: FetchedPool, hasServed: boolean): void {
  const live = livePeer(draft, peerId);
  if (live === undefined) return;
  const hedge = `hedge ${pool} ${live.attemptId}`;
  if (hasServed && draft.deadlines.byName.has(hedge)) notePromptness(draft, peerId, "prompt");
  forgetWake(draft, hedge);
  updateLive(draft, peerId, (changed) => {
    changed.fetching = { ...changed.fetching, [pool]: null };
  });
}

/** Bytes are checked by their hash before anything else; an answer to what nobody waits for any more is dropped. */
function receive(
  draft: StateDraft,
  peerId: PeerId,
  pool: FetchedPool,
  hashes: readonly Hash[],
  found: readonly Found[],
  context: Context,
): void {
  const items: ItemBytes[] = [];
  for (const [index, hash] of hashes.entries()) {
    const entry = found[index];
    const bytes = entry?.tag === "some" ? entry.bytes : null;
    if (bytes !== null && itemHash(bytes) !== hash) {
      blame(draft, peerId, "itemMismatch", `served bytes that are not ${hash}`, context);
      return;
    }
    const fetching = draft.fetches.get(hash);
    if (fetching?.stage.tag !== "requested" || !fetching.stage.from.includes(peerId)) continue;
    if (entry === undefined) unask(draft, fetching, peerId);
    else if (bytes === null) {
      const why = entry.tag === "stream" ? "tooLarge" : "none";
      context.propose({ type: "fetch/fail", peerId, hash, why });
    } else items.push({ hash, bytes });
  }
  context.propose({ type: "fetch/verify", peerId, pool, items, requestId: null });
}

const canFetch = (state: State, peerId: PeerId, pool: FetchedPool): boolean =>
  livePeer(state, peerId)?.fetching[pool] === null &&
  canRequest(state, peerId) &&
  wanted(state, peerId, pool).length > 0;

const unsettledIn = (state: State, peerId: PeerId, pool: PoolName): readonly Hash[] =>
  unsettledOf(livePeer(state, peerId)?.pools[pool] ?? null);

const announcersOf = (state: State, hashes: readonly Hash[]): ReadonlySet<PeerId> =>
  new Set(hashes.flatMap((hash) => [...(state.fetches.get(hash)?.announcers.keys() ?? [])]));

const isLastAsked = (
  fetching: Fetch | undefined,
  peerId: PeerId,
): fetching is Fetch & { readonly stage: Extract<Fetch["stage"], { tag: "requested" }> } =>
  fetching?.stage.tag === "requested" && fetching.stage.from.at(-1) === peerId;

/** What may be asked of this peer now: first what nobody is asked for, the greatest priority first. */
function wanted(state: State, peerId: PeerId, pool: FetchedPool): readonly Hash[] {
  return unsettledIn(state, peerId, pool)
    .map((hash) => state.fetches.get(hash))
    .filter((fetching) => fetching !== undefined)
    .filter((fetching) => mayAsk(state, fetching, peerId) && !hasBetter(state, fetching, peerId, pool))
    .sort((a, b) => askedOf(a).length - askedOf(b).length || comparePriority(a.priority, b.priority))
    .map(({ hash }) => hash);
}

/** One at a time, and the next if that takes too long; but only slow ones wait for those who are slow. */
function mayAsk(state: State, { announcers, stage }: Fetch, peerId: PeerId): boolean {
  if (!announcers.has(peerId)) return false;
  if (stage.tag === "waiting") return true;
  if (stage.tag !== "requested" || stage.from.includes(peerId)) return false;
  const isSlow = rankOf(state, peerId) === RANKS.slow;
  const asked = stage.from.filter((other) => isSlow || rankOf(state, other) !== RANKS.slow).length;
  return asked === 0 || (stage.isLate && asked < ASKED_AT_ONCE_MAX);
}

/**
 * Somebody who ranks higher announced it too, was not asked yet, and can be. A slow peer yields to him even if he is
 * busy; a new one does not, or all of a pool would be fetched from the first that served something.
 */
function hasBetter(state: State, fetching: Fetch, peerId: PeerId, pool: FetchedPool): boolean {
  const asked = askedOf(fetching);
  const rank = rankOf(state, peerId);
  for (const other of fetching.announcers.keys()) {
    if (other === peerId || asked.includes(other) || rankOf(state, other) <= rank) continue;
    const isIdle = livePeer(state, other)?.fetching[pool] === null;
    if (canRequest(state, other) && (isIdle || rank === RANKS.slow)) return true;
  }
  return false;
}

const RANKS = { slow: 0, new: 1, prompt: 2 } as const satisfies Record<Promptness, number>;

const rankOf = (state: State, peerId: PeerId): number =>
  RANKS[livePeer(state, peerId)?.record.promptness ?? "slow"];

const askedOf = ({ stage }: Fetch): readonly PeerId[] => (stage.tag === "requested" ? stage.from : []);

const isSome = ({ tag }: Found): boolean => tag === "some";

/** Commitments are complete in themselves: they go to verification as they came. */
function wantedCommitments(state: State, peerId: PeerId): readonly ItemBytes[] {
  const items: ItemBytes[] = [];
  for (const hash of unsettledIn(state, peerId, "snark-job-commitment")) {
    const fetching = state.fetches.get(hash);
    const info = fetching?.stage.tag === "waiting" ? fetching.announcers.get(peerId) : undefined;
    if (info !== undefined && "snarker" in info) items.push({ hash, bytes: commitmentBytes(info) });
  }
  return items;
}

function openBatch(draft: StateDraft, batch: Batch): BatchId {
  const batchId = draft.nextBatchId as BatchId;
  draft.nextBatchId += 1;
  draft.batches = draft.batches.set(batchId, batch);
  for (const hash of batch.hashes) {
    draft.fetches = draft.fetches.update(hash, (fetching) => ({
      ...fetching,
      stage: { tag: "verifying", batchId },
    }));
  }
  return batchId;
}

/**
 * We may lack this from that peer from now on: it will be asked for the band once more (7.4); where there is no floor,
 * for everything.
 */
function raiseLack(draft: StateDraft, pool: PoolName, peerId: PeerId, lacking: Priority | null): void {
  const priority = lacking !== null && pool !== "transaction" ? GREATEST_PRIORITY : lacking;
  updatePermits(draft, peerId, pool, (channel) => {
    if (isAbove(priority, channel.lack.below)) channel.lack = { ...channel.lack, below: priority };
  });
}

function settle(draft: StateDraft, pool: PoolName, peerId: PeerId, hash: Hash, { propose }: Context): void {
  const attemptId = livePeer(draft, peerId)?.attemptId;
  if (attemptId !== undefined) propose({ type: "pool/settle", pool, peerId, attemptId, hash });
}

function blame(
  draft: StateDraft,
  peerId: PeerId,
  reason: Reason,
  detail: string,
  { propose }: Context,
): void {
  const attemptId = livePeer(draft, peerId)?.attemptId;
  if (attemptId !== undefined) propose({ type: "connection/disconnect", attemptId, reason, detail });
}

/** Puts a valid item into its pool, or says why it has no place there. */
function keep(
  draft: StateDraft,
  pool: PoolName,
  hash: Hash,
  verdict: ItemVerdict,
  isLocal: boolean,
  context: Context,
): CommandResult {
  if (verdict.tag === "invalid") return { tag: "invalid", detail: verdict.detail };
  if (verdict.tag === "notNow") {
    if (!isLocal && draft.refused.size < REFUSED_MAX) draft.refused = draft.refused.set(hash, "notNow");
    return { tag: "conflict", detail: verdict.detail };
  }
  const { info } = verdict;
  const refusal = put(draft, pool, entryFor(info, draft.timeMs), context);
  if (refusal?.by === hash) return { tag: "conflict", detail: "it is already in the pool" };
  // A greater one in its slot may still turn out to be of no use to the next block, a full pool will have room again.
  if (isLocal && pool === "transaction" && refusal?.by == null) draft.local = draft.local.set(hash, info);
  if (refusal === null) return { tag: "submitted", hash };
  if (draft.local.has(hash)) return { tag: "keptAside", hash };
  forgetUnheld(draft, pool, hash, context);
  return { tag: "conflict", detail: `${refusal.by} already holds this slot with a higher priority` };
}
