import type { SyncAction } from "../../core/actions/sync.ts";
import type { Tip } from "../../core/block.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { Hash, PeerId } from "../../core/ids.ts";
import {
  INVALID_BLOCKS_MAX,
  SYNC_RETRY_MAX_MS,
  SYNC_RETRY_MIN_MS,
  SYNC_STALLED_MS,
} from "../../core/limits.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { State } from "../../core/state.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { forgetWake, livePeer, wakeAt } from "../state.ts";
import {
  drawCheckId,
  isStalled,
  isWanted,
  preparedHashes,
  receivedTips,
  stageOf,
  updateSync,
} from "./pursuit.ts";
import { forgetServer } from "./servers.ts";

/** Which announced tip is pursued, for how long, and who is to blame if it is not what it should be (7.3). */

type CandidateAction = Extract<
  SyncAction,
  {
    type: "sync/weigh" | "sync/consider" | "sync/giveUp" | "sync/condemn" | "sync/retry" | "sync/peerLeft";
  }
>;

export const candidates: Rules<CandidateAction> = {
  "sync/weigh": {
    enabled: (state, { peerId }) => receivedOf(state, peerId) !== null,
    reduce: (draft, { peerId }, context) => {
      const tip = receivedOf(draft, peerId);
      if (tip === null) return;
      if (isCondemned(draft, tip)) {
        const detail = `tip ${tip.hash} builds on an invalid block, or is one`;
        context.propose({ type: "sync/condemn", hash: tip.hash, detail });
        return;
      }
      forgetUnannounced(draft);
      // Somebody else who may have it: it need not wait.
      const known = draft.sync.givenUp.get(tip.hash);
      if (known !== undefined) backOff(draft, tip.hash, { ...known, untilMs: draft.timeMs });
      settleDecided(draft, peerId, context);
      context.propose({ type: "sync/consider" });
      context.propose({ type: "sync/proceed" });
    },
  },

  "sync/consider": {
    enabled: (state) =>
      !state.stopping &&
      (state.sync.pursuit === null || isStalled(state)) &&
      bestCandidate(state) !== undefined,
    reduce: (draft, _consider, { propose, effect }) => {
      const tip = bestCandidate(draft);
      const { pursuit } = draft.sync;
      if (tip === undefined) return;
      if (pursuit !== null) {
        const detail = `no progress for ${SYNC_STALLED_MS} ms, and there is another tip`;
        propose({ type: "sync/giveUp", hash: pursuit.tip.hash, detail });
        return;
      }
      const { hash: _hash, ...header } = tip;
      const checkId = drawCheckId(draft);
      const isApplied = draft.chain.blocks.has(tip.hash);
      updateSync(draft, {
        pursuit: {
          tip,
          fromHeight: draft.chain.tip.height,
          applied: 0,
          progressMs: draft.timeMs,
          busy: SortedMap.empty(),
          stage: isApplied ? { tag: "applied" } : { tag: "checking", checkId },
        },
      });
      if (!isApplied) effect({ type: "effect/verifyHeaders", checkId, headers: [header] });
      propose({ type: "sync/proceed" });
    },
  },

  "sync/giveUp": {
    enabled: (state, { hash }) => state.sync.pursuit?.tip.hash === hash,
    reduce: (draft, { hash }, context) => {
      if (isAnnounced(draft, hash)) {
        const failures = draft.sync.givenUp.get(hash)?.failures ?? 0;
        const waitMs = Math.min(SYNC_RETRY_MAX_MS, SYNC_RETRY_MIN_MS * 2 ** failures);
        backOff(draft, hash, { failures: failures + 1, untilMs: draft.timeMs + waitMs });
      }
      endPursuit(draft, context);
    },
  },

  "sync/condemn": {
    enabled: () => true,
    reduce: (draft, { hash, detail }, context) => {
      noteInvalid(draft, hash);
      const { pursuit } = draft.sync;
      if (pursuit !== null && (pursuit.tip.hash === hash || isOnPath(draft, hash))) {
        noteInvalid(draft, pursuit.tip.hash);
        endPursuit(draft, context);
      }
      for (const [peerId, tip] of receivedTips(draft)) {
        const attemptId = livePeer(draft, peerId)?.attemptId;
        if (attemptId === undefined || !isCondemned(draft, tip)) continue;
        context.propose({ type: "connection/disconnect", attemptId, reason: "invalidBlock", detail });
      }
    },
  },

  "sync/retry": {
    enabled: (state, { hash }) => state.sync.givenUp.has(hash),
    reduce: (_draft, _retry, { propose }) => propose({ type: "sync/consider" }),
  },

  "sync/peerLeft": {
    enabled: () => true,
    reduce: (draft, { peerId }, { propose }) => {
      forgetUnannounced(draft);
      forgetServer(draft, peerId);
      propose({ type: "sync/proceed" });
    },
  },
};

/**
 * The pursuit is over, however it ended. What was prepared for it is not needed any more, the tips about which nothing
 * is left to find out are settled, and the next one is considered.
 */
export function endPursuit(draft: StateDraft, context: Context): void {
  const prepared = preparedHashes(draft);
  if (prepared.length > 0) context.effect({ type: "effect/forgetBlocks", hashes: prepared });
  const root = stageOf(draft, "snapshot")?.anchor.ledgerRoot;
  if (root !== undefined) context.propose({ type: "stream/abandon", root });
  forgetWake(draft, "sync");
  updateSync(draft, { pursuit: null });
  settleAllDecided(draft, context);
  context.propose({ type: "sync/consider" });
}

/** Law 2: the next permit for all whose tip is ours or worse by now, or was given up. */
export function settleAllDecided(draft: StateDraft, context: Context): void {
  for (const [peerId] of receivedTips(draft)) settleDecided(draft, peerId, context);
}

/** Tips are remembered as given up only while a live peer announces them, and while they are better than ours. */
export function forgetUnannounced(draft: StateDraft): void {
  if (draft.sync.givenUp.size === 0) return;
  const wanted = new Set<Hash>();
  for (const [, tip] of receivedTips(draft)) if (isWanted(draft, tip)) wanted.add(tip.hash);
  for (const hash of draft.sync.givenUp.keys()) {
    if (wanted.has(hash)) continue;
    updateSync(draft, { givenUp: draft.sync.givenUp.delete(hash) });
    forgetWake(draft, `syncRetry ${hash}`);
  }
}

const receivedOf = (state: State, peerId: PeerId): Tip | null =>
  livePeer(state, peerId)?.bestTip?.received ?? null;

/** Compared pairwise, never sorted: the relation is not transitive (P31). */
function bestCandidate(state: State): Tip | undefined {
  let best: Tip | undefined;
  for (const [, tip] of receivedTips(state)) {
    if (tip.hash === best?.hash || !isCandidate(state, tip)) continue;
    if (best === undefined || isBetterTip(tip, best, state.config.chain)) best = tip;
  }
  return best;
}

const isCandidate = (state: State, tip: Tip): boolean =>
  tip.hash !== state.sync.pursuit?.tip.hash &&
  !isResting(state, tip.hash) &&
  !isCondemned(state, tip) &&
  isWanted(state, tip);

const isResting = ({ sync, timeMs }: State, hash: Hash): boolean =>
  timeMs < (sync.givenUp.get(hash)?.untilMs ?? 0);

const isCondemned = ({ sync }: State, { hash, parent }: Tip): boolean =>
  sync.invalid.has(hash) || sync.invalid.has(parent);

function isAnnounced(state: State, hash: Hash): boolean {
  for (const [, tip] of receivedTips(state)) if (tip.hash === hash) return true;
  return false;
}

function isOnPath(state: State, hash: Hash): boolean {
  const blocks = stageOf(state, "blocks")?.blocks ?? stageOf(state, "headers")?.path;
  for (const block of blocks?.values() ?? []) if (block.hash === hash) return true;
  return false;
}

function settleDecided(draft: StateDraft, peerId: PeerId, { propose }: Context): void {
  const live = livePeer(draft, peerId);
  const tip = live?.bestTip?.received ?? null;
  if (live?.bestTip?.ours.tag !== "processing" || tip === null) return;
  if (isWanted(draft, tip) && !isResting(draft, tip.hash)) return;
  propose({ type: "bestTip/settle", peerId, attemptId: live.attemptId, hash: tip.hash });
}

function backOff(draft: StateDraft, hash: Hash, givenUp: { failures: number; untilMs: number }): void {
  updateSync(draft, { givenUp: draft.sync.givenUp.set(hash, givenUp) });
  if (givenUp.untilMs > draft.timeMs) {
    wakeAt(draft, `syncRetry ${hash}`, givenUp.untilMs, { type: "sync/retry", hash });
  } else {
    forgetWake(draft, `syncRetry ${hash}`);
  }
}

function noteInvalid(draft: StateDraft, hash: Hash): void {
  let { invalid } = draft.sync;
  if (invalid.has(hash)) return;
  let [oldest, first, last] = [hash, Number.POSITIVE_INFINITY, 0];
  for (const [other, number] of invalid.entries()) {
    if (number < first) [oldest, first] = [other, number];
    last = Math.max(last, number);
  }
  if (invalid.size >= INVALID_BLOCKS_MAX) invalid = invalid.delete(oldest);
  updateSync(draft, { invalid: invalid.set(hash, last + 1) });
}
