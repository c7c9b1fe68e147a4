import type { ChainEvent, FetchAction } from "../core/actions.ts";
import type { TransactionInfo, TransactionVerdict } from "../core/chain.ts";
import { unsettledOf } from "../core/channels/transaction.ts";
import { itemHash } from "../core/hash.ts";
import type { AttemptId, BatchId, Hash, PeerId } from "../core/ids.ts";
import { RPC_HASHES_MAX } from "../core/limits.ts";
import { appendEntry, holderOf, type NewEntry } from "../core/pool-log.ts";
import { comparePriority, type Priority, transactionPriority } from "../core/priority.ts";
import type { Reason } from "../core/reasons.ts";
import type { CommandResult, ItemBytes } from "../core/services.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { Fetch, State } from "../core/state.ts";
import { canRequest } from "./channels/rpc.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { livePeer, updateLive, updateTransaction } from "./state.ts";

/**
 * 7.4, Fetch: from an announcement to the pool. Every announcer of an item is an alternate; a body is asked for
 * from one of them at a time, checked by its hash, verified, and kept or dropped for a reason.
 */

type Verified = Extract<ChainEvent, { type: "event/transactionsVerified" }>;

export const fetch: Rules<FetchAction | Verified> = {
  "fetch/announce": {
    enabled: (state, { peerId, info }) => isUnsettled(state, peerId, info.hash),
    reduce: (draft, { peerId, info }, context) => {
      const { hash } = info;
      const held = draft.transactions.entries.get(hash);
      if (held !== undefined && !sameInfo(held.info, info)) {
        blame(draft, peerId, "itemMismatch", `announced ${hash} with wrong data`, context);
      } else if (holderOf(draft.transactions, entryFor(draft, info)) !== undefined) {
        settle(draft, peerId, hash, context);
      } else {
        const known = draft.fetches.get(hash);
        const fetching: Fetch = known ?? {
          hash,
          priority: transactionPriority(info),
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
      livePeer(state, peerId)?.fetching === null &&
      canRequest(state, peerId) &&
      wanted(state, peerId).length > 0,
    reduce: (draft, { peerId }, { propose }) => {
      const hashes = wanted(draft, peerId).slice(0, RPC_HASHES_MAX);
      const id = livePeer(draft, peerId)?.rpc?.nextId ?? null;
      for (const hash of hashes) {
        draft.fetches = draft.fetches.update(hash, (fetching) => ({
          ...fetching,
          stage: { tag: "requested", peerId },
        }));
      }
      updateLive(draft, peerId, (live) => {
        live.fetching = id;
      });
      propose({ type: "rpc/request", peerId, body: { tag: "transactions", hashes } });
    },
  },

  "fetch/fail": {
    enabled: (state, { peerId, hash }) => state.fetches.get(hash)?.announcers.has(peerId) ?? false,
    reduce: (draft, { peerId, hash }, context) => {
      withdraw(draft, peerId, hash, context);
      settle(draft, peerId, hash, context);
    },
  },

  "fetch/receive": {
    enabled: (state, { peerId }) => livePeer(state, peerId) !== undefined,
    reduce: (draft, { peerId, hashes, items }, context) => {
      const received: ItemBytes[] = [];
      for (const [index, hash] of hashes.entries()) {
        if (!isRequestedFrom(draft.fetches.get(hash), peerId)) continue;
        const bytes = items[index];
        if (bytes === undefined) {
          draft.fetches = draft.fetches.update(hash, (fetching) => ({
            ...fetching,
            stage: { tag: "waiting" },
          }));
        } else if (bytes === null) {
          context.propose({ type: "fetch/fail", peerId, hash });
        } else if (itemHash(bytes) !== hash) {
          blame(draft, peerId, "itemMismatch", `served bytes that are not ${hash}`, context);
          return;
        } else {
          received.push({ hash, bytes });
        }
      }
      if (received.length > 0) context.dispatch({ type: "fetch/verify", items: received, requestId: null });
    },
  },

  "fetch/verify": {
    enabled: (_state, { items }) => items.length > 0,
    reduce: (draft, { items, requestId }, { effect }) => {
      const batchId = draft.nextBatchId as BatchId;
      const hashes = items.map(({ hash }) => hash);
      draft.nextBatchId += 1;
      draft.batches = draft.batches.set(batchId, { hashes, requestId });
      for (const hash of hashes) {
        draft.fetches = draft.fetches.update(hash, (fetching) => ({
          ...fetching,
          stage: { tag: "verifying", batchId },
        }));
      }
      effect({ type: "effect/verifyTransactions", batchId, items });
    },
  },

  "event/transactionsVerified": {
    enabled: (state, { batchId, verdicts }) => state.batches.get(batchId)?.hashes.length === verdicts.length,
    reduce: (draft, { batchId, verdicts }, { dispatch }) => {
      const batch = draft.batches.get(batchId);
      if (batch === undefined) return;
      draft.batches = draft.batches.delete(batchId);
      for (const [index, hash] of batch.hashes.entries()) {
        const verdict = verdicts[index];
        if (verdict !== undefined)
          dispatch({ type: "fetch/conclude", hash, verdict, requestId: batch.requestId });
      }
    },
  },

  "fetch/conclude": {
    enabled: () => true,
    reduce: (draft, { hash, verdict, requestId }, context) => {
      for (const [peerId, info] of draft.fetches.get(hash)?.announcers.entries() ?? []) {
        if (verdict.tag === "invalid") {
          blame(draft, peerId, "invalidItem", `announced ${hash}: ${verdict.detail}`, context);
        } else if (verdict.tag === "valid" && !sameInfo(verdict.info, info)) {
          blame(draft, peerId, "itemMismatch", `announced ${hash} with wrong data`, context);
        } else {
          settle(draft, peerId, hash, context);
        }
      }
      draft.fetches = draft.fetches.delete(hash);
      const result = keep(draft, hash, verdict, context);
      if (requestId !== null) context.effect({ type: "effect/answerCommand", requestId, result });
    },
  },
};

/** A peer serves this item no more: the next announcer is asked, and without one the item is given up. */
export function withdraw(draft: StateDraft, peerId: PeerId, hash: Hash, { propose }: Context): void {
  const fetching = draft.fetches.get(hash);
  if (fetching === undefined) return;
  raiseHigh(draft, peerId, fetching.priority);
  const announcers = fetching.announcers.delete(peerId);
  if (announcers.size === 0) {
    draft.fetches = draft.fetches.delete(hash);
    return;
  }
  const stage = isRequestedFrom(fetching, peerId) ? ({ tag: "waiting" } as const) : fetching.stage;
  draft.fetches = draft.fetches.set(hash, { ...fetching, announcers, stage });
  if (stage.tag !== "waiting") return;
  for (const other of announcers.keys()) propose({ type: "fetch/next", peerId: other });
}

/** We may lack this from that peer from now on: it will be asked for the band once more (7.4). */
function raiseHigh(draft: StateDraft, peerId: PeerId, priority: Priority): void {
  updateTransaction(draft, peerId, (channel) => {
    if (channel.high === null || comparePriority(priority, channel.high) < 0) channel.high = priority;
  });
}

const isRequestedFrom = (fetching: Fetch | undefined, peerId: PeerId): boolean =>
  fetching?.stage.tag === "requested" && fetching.stage.peerId === peerId;

function isUnsettled(state: State, peerId: PeerId, hash: Hash): boolean {
  const live = livePeer(state, peerId);
  return live !== undefined && unsettledOf(live.transaction).includes(hash);
}

/** What this peer announced and nobody is asked for yet, the greatest priority first. */
function wanted(state: State, peerId: PeerId): readonly Hash[] {
  const live = livePeer(state, peerId);
  if (live === undefined) return [];
  return unsettledOf(live.transaction)
    .map((hash) => state.fetches.get(hash))
    .filter((fetching) => fetching?.stage.tag === "waiting" && fetching.announcers.has(peerId))
    .filter((fetching) => fetching !== undefined)
    .sort((a, b) => comparePriority(a.priority, b.priority))
    .map(({ hash }) => hash);
}

export const sameInfo = (a: TransactionInfo, b: TransactionInfo): boolean =>
  a.hash === b.hash && a.fee === b.fee && a.sender === b.sender && a.nonce === b.nonce;

const entryFor = (state: State, info: TransactionInfo): NewEntry<TransactionInfo> => ({
  hash: info.hash,
  slot: slotOf(info.sender, info.nonce),
  priority: transactionPriority(info),
  info,
  addedMs: state.timeMs,
});

const NONCE_DIGITS = 10;

/** Of one sender the slots sort by nonce. */
export const slotOf = (sender: string, nonce: number): string =>
  `${sender} ${nonce.toString().padStart(NONCE_DIGITS, "0")}`;

function settle(draft: StateDraft, peerId: PeerId, hash: Hash, { propose }: Context): void {
  const attemptId: AttemptId | undefined = livePeer(draft, peerId)?.attemptId;
  if (attemptId !== undefined) propose({ type: "transaction/settle", peerId, attemptId, hash });
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

/** Puts a valid item into the pool if it is the greatest of its slot, and tells everybody who waits for one. */
function keep(draft: StateDraft, hash: Hash, verdict: TransactionVerdict, context: Context): CommandResult {
  if (verdict.tag === "invalid") return { tag: "invalid", detail: verdict.detail };
  if (verdict.tag === "notNow") return { tag: "conflict", detail: verdict.detail };
  const entry = entryFor(draft, verdict.info);
  const holder = holderOf(draft.transactions, entry);
  if (holder !== undefined) {
    // The chain keeps the bytes of what is valid until it is told otherwise; ours is kept already.
    if (holder.hash === hash) return { tag: "conflict", detail: "the transaction is in the pool already" };
    context.effect({ type: "effect/forgetItems", hashes: [hash] });
    return {
      tag: "conflict",
      detail: `transaction ${holder.hash} has this nonce and at least this fee class`,
    };
  }
  const { pool, replaced } = appendEntry(draft.transactions, entry);
  draft.transactions = pool;
  if (replaced !== undefined) context.effect({ type: "effect/forgetItems", hashes: [replaced.hash] });
  for (const peerId of draft.waiting.keys()) context.propose({ type: "transaction/sendInfos", peerId });
  return { tag: "submitted", hash };
}
