import type { PoolAction } from "../../core/actions.ts";
import {
  type Cursor,
  type Lack,
  type PermitChannel,
  type PermitWindow,
  type PoolMessage,
  type Reconciliation,
  unsettledOf,
} from "../../core/channels/permits.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import {
  HEARD_MAX,
  INFOS_MAX,
  RATE_BURST,
  RECONCILE_POOL_MIN,
  REFLOORS_PER_SECOND,
  SCAN_ENTRIES_SPARE,
  SCAN_PERIOD_S,
  SCAN_WAIT_MS,
  SETTLE_TIMEOUT_MS,
} from "../../core/limits.ts";
import { answerPermit, type PoolLog, resumeIndex } from "../../core/pool-log.ts";
import { hashOf, type PoolInfo, type PoolName } from "../../core/pools.ts";
import type { Bucket, LivePeer } from "../../core/state.ts";
import { refill, spend } from "../buckets.ts";
import { withdraw } from "../fetch.ts";
import { isGateOpen } from "../gate.ts";
import { setWaiting } from "../pools.ts";
import { beginReconcile, needsReconcile, resumeReconcile } from "../reconcile.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { forgetWake, liveAttempt, livePeer, permitsOf, updatePermits, wakeAt } from "../state.ts";
import { violationOf } from "./permit-violations.ts";
import { nextWindow, noteGiven, noteTheirs, outdatedMs } from "./permit-windows.ts";
import { accuse } from "./violation.ts";

/**
 * 7.4 to 7.6: one permit, one message of announcements; the next permit when all of them are settled. The machine is
 * the same for transactions, snarks and commitments.
 */

const REFLOOR_RATE = { burst: RATE_BURST, perSecond: REFLOORS_PER_SECOND };

type PermitAction = Exclude<
  PoolAction,
  { type: "pool/followTip" | "pool/expireCommitments" | "pool/forgetResume" }
>;

export const permits: Rules<PermitAction> = {
  "pool/receive": {
    enabled: (state, { pool, peerId }) => permitsOf(state, peerId, pool) !== undefined,
    reduce: (draft, { pool, peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      const channel = permitsOf(draft, peerId, pool);
      if (live === undefined || channel === undefined) return;
      const violation = violationOf(pool, channel, message);
      if (violation !== null) accuse(live.attemptId, pool, violation, context);
      else receive(draft, live, peerId, pool, message, context);
    },
  },

  "pool/givePermit": {
    enabled: (state, { pool, peerId }) =>
      !state.stopping && permitsOf(state, peerId, pool)?.ours.tag === "idle",
    reduce: (draft, { pool, peerId }, context) => {
      const live = livePeer(draft, peerId);
      const channel = permitsOf(draft, peerId, pool);
      if (live === undefined || channel === undefined) return;
      const { resume } = channel;
      // Before it is known whether the peer's log goes on where it ended, one info tells as much as many.
      const isStranger = channel.settled === null && resume === null;
      const limit = isStranger && draft.pools[pool].entries.size > RECONCILE_POOL_MIN ? 1 : INFOS_MAX;
      const window = nextWindow(draft, live, peerId, pool, channel);
      updatePermits(draft, peerId, pool, (changed) => {
        noteGiven(changed, window, draft.timeMs);
        changed.ours = { tag: "permitGiven", limit, sinceMs: draft.timeMs, windows: [window] };
        changed.resume = null;
      });
      const message = { tag: "getNext", limit, window, resume } as const;
      context.effect({ type: "effect/send", attemptId: live.attemptId, channel: pool, message });
    },
  },

  "pool/refloor": {
    enabled: (state, { pool, peerId, attemptId }) => {
      const channel = liveAttempt(state, peerId, attemptId)?.pools[pool];
      return channel?.ours.tag === "permitGiven" && outdatedMs(state, pool, channel) !== null;
    },
    reduce: (draft, { pool, peerId, attemptId }, { effect }) => {
      const live = livePeer(draft, peerId);
      const channel = permitsOf(draft, peerId, pool);
      if (live === undefined || channel?.ours.tag !== "permitGiven") return;
      const dueMs = outdatedMs(draft, pool, channel) ?? draft.timeMs;
      if (dueMs > draft.timeMs) {
        wakeAt(draft, `refloor ${pool} ${attemptId}`, dueMs, {
          type: "pool/refloor",
          pool,
          peerId,
          attemptId,
        });
        return;
      }
      const { ours } = channel;
      const window = nextWindow(draft, live, peerId, pool, channel);
      updatePermits(draft, peerId, pool, (changed) => {
        noteGiven(changed, window, draft.timeMs);
        changed.ours = { ...ours, windows: [...ours.windows, window] };
      });
      effect({ type: "effect/send", attemptId, channel: pool, message: { tag: "refloor", window } });
    },
  },

  "pool/sendInfos": {
    enabled: (state, { pool, peerId }) => {
      const live = livePeer(state, peerId);
      return (
        live?.pools[pool]?.theirs.tag === "open" && !live.blocked.includes(pool) && isGateOpen(state, peerId)
      );
    },
    reduce: (draft, { pool, peerId }, { effect }) => {
      const live = livePeer(draft, peerId);
      const channel = permitsOf(draft, peerId, pool);
      if (live === undefined || channel?.theirs.tag !== "open") return;
      const { limit, window } = channel.theirs;
      const log: PoolLog<PoolInfo> = draft.pools[pool];
      const budget = refill(channel.scanBudget ?? undefined, scanRate(log), draft.timeMs);
      const scan = `scan ${pool} ${live.attemptId}`;
      if (budget.tokens <= 0) {
        setWaiting(draft, pool, peerId, true);
        wakeAt(draft, scan, draft.timeMs + SCAN_WAIT_MS, { type: "pool/sendInfos", pool, peerId });
        return;
      }
      forgetWake(draft, scan);
      const { cursor, answer, cost } = answerPermit(log, channel.cursor, limit, window, channel.heard);
      setWaiting(draft, pool, peerId, answer === null);
      if (answer === null && cursor === channel.cursor) return;
      updatePermits(draft, peerId, pool, (changed) => {
        changed.cursor = cursor;
        changed.scanBudget = { ...budget, tokens: budget.tokens - cost };
        if (answer !== null) changed.theirs = { tag: "none" };
      });
      if (answer === null) return;
      const { items, rest } = answer;
      const next = { epoch: log.epoch, next: BigInt(cursor) };
      const message = { tag: "infos", cursor: next, seq: window.seq, rest, items } as const;
      effect({ type: "effect/send", attemptId: live.attemptId, channel: pool, message });
    },
  },

  "pool/process": {
    enabled: (state, { pool, peerId }) => permitsOf(state, peerId, pool)?.ours.tag === "reconciling",
    reduce: (draft, { pool, peerId, ...announced }, context) => {
      const attemptId = livePeer(draft, peerId)?.attemptId;
      const lackBefore = permitsOf(draft, peerId, pool)?.lack;
      if (attemptId === undefined || lackBefore === undefined) return;
      processInfos(draft, attemptId, peerId, pool, { ...announced, lackBefore }, {}, context);
    },
  },

  "pool/settle": {
    enabled: (state, { pool, peerId, attemptId, hash }) =>
      unsettledOf(liveAttempt(state, peerId, attemptId)?.pools[pool] ?? null).includes(hash),
    reduce: (draft, { pool, peerId, attemptId, hash }, context) => {
      const channel = permitsOf(draft, peerId, pool);
      if (channel?.ours.tag !== "processing") return;
      const { ours } = channel;
      const unsettled = ours.unsettled.filter((other) => other !== hash);
      if (unsettled.length === 0) {
        endProcessing(draft, peerId, pool, channel, context);
        forgetWake(draft, `settle ${pool} ${attemptId}`);
      } else {
        updatePermits(draft, peerId, pool, (changed) => {
          changed.ours = { ...ours, unsettled };
        });
      }
    },
  },

  "pool/expire": {
    enabled: (state, { pool, peerId, attemptId }) =>
      liveAttempt(state, peerId, attemptId)?.pools[pool]?.ours.tag === "processing",
    reduce: (draft, { pool, peerId }, context) => {
      const channel = permitsOf(draft, peerId, pool);
      if (channel === undefined) return;
      for (const hash of unsettledOf(channel)) withdraw(draft, peerId, hash, context);
      endProcessing(draft, peerId, pool, channel, context);
    },
  },
};

/** Everything the last message announced is settled: that is where a later connection would go on. */
function endProcessing(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  channel: PermitChannel,
  context: Context,
): void {
  const { ours } = channel;
  if (ours.tag !== "processing") return;
  const isNewLog = channel.settled?.epoch !== ours.cursor.epoch;
  updatePermits(draft, peerId, pool, (changed) => {
    changed.ours = { tag: "idle" };
    changed.settled = ours.cursor;
  });
  if (ours.found !== null) resumeReconcile(draft, peerId, pool, ours.found, context);
  else if (isNewLog && !channel.hasReconciled && needsReconcile(draft, pool))
    beginReconcile(draft, peerId, pool, context);
  else context.propose({ type: "pool/givePermit", pool, peerId });
}

/** A pool's worth per minute, so that the cost of a message does not grow with the pool for long. */
function scanRate({ entries }: PoolLog<PoolInfo>): Bucket {
  const burst = entries.size + SCAN_ENTRIES_SPARE;
  return { burst, perSecond: burst / SCAN_PERIOD_S };
}

function receive(
  draft: StateDraft,
  live: LivePeer,
  peerId: PeerId,
  pool: PoolName,
  message: PoolMessage,
  context: Context,
): void {
  switch (message.tag) {
    case "getNext": {
      const { limit, window, resume } = message;
      updatePermits(draft, peerId, pool, (channel) => {
        channel.theirs = { tag: "open", limit, window };
        noteTheirs(channel, window);
        if (resume !== null) channel.cursor = resumeIndex<PoolInfo>(draft.pools[pool], resume);
      });
      context.propose({ type: "pool/sendInfos", pool, peerId });
      return;
    }
    case "refloor":
      refloor(draft, live, peerId, pool, message.window, context);
      return;
    case "infos":
      announce(draft, live, peerId, pool, message, context);
  }
}

/** Replaces the window of the open permit; gives none, and is ignored if none is open. */
function refloor(
  draft: StateDraft,
  live: LivePeer,
  peerId: PeerId,
  pool: PoolName,
  window: PermitWindow,
  context: Context,
): void {
  const channel = live.pools[pool];
  if (channel === null) return;
  const { budget, waitS } = spend(refill(channel.refloorBudget, REFLOOR_RATE, draft.timeMs), REFLOOR_RATE);
  if (waitS > 0) {
    const violation = { reason: "overLimit", detail: "Refloor faster than agreed" } as const;
    accuse(live.attemptId, pool, violation, context);
    return;
  }
  updatePermits(draft, peerId, pool, (changed) => {
    changed.refloorBudget = budget;
    noteTheirs(changed, window);
    if (changed.theirs.tag === "open") changed.theirs = { ...changed.theirs, window };
  });
  context.propose({ type: "pool/sendInfos", pool, peerId });
}

function announce(
  draft: StateDraft,
  { attemptId }: LivePeer,
  peerId: PeerId,
  pool: PoolName,
  { seq, rest, items, cursor }: Extract<PoolMessage, { tag: "infos" }>,
  context: Context,
): void {
  const channel = permitsOf(draft, peerId, pool);
  if (channel?.ours.tag !== "permitGiven") return;
  const window = channel.ours.windows.find((given) => given.seq === seq);
  // Without a band the answer says nothing of what we may lack.
  const lack =
    window === undefined || window.band === null ? channel.lack : { below: rest, sinceMark: window.mark };
  const heard = [...channel.heard, ...items.map(hashOf)].slice(-HEARD_MAX);
  forgetWake(draft, `refloor ${pool} ${attemptId}`);
  const announced = { infos: items, cursor, found: null, lackBefore: channel.lack };
  processInfos(draft, attemptId, peerId, pool, announced, { lack, heard }, context);
}

interface Announced {
  readonly infos: readonly PoolInfo[];
  readonly cursor: Cursor;
  readonly found: Reconciliation | null;
  readonly lackBefore: Lack;
}

/**
 * Law 2: no permit before each of these is in the pool, dropped or failed.
 *
 * @param changes what else the message says of the channel
 */
function processInfos(
  draft: StateDraft,
  attemptId: AttemptId,
  peerId: PeerId,
  pool: PoolName,
  { infos, cursor, found, lackBefore }: Announced,
  changes: Partial<Pick<PermitChannel, "lack" | "heard">>,
  context: Context,
): void {
  const unsettled = [...new Set(infos.map(hashOf))];
  updatePermits(draft, peerId, pool, (channel) => {
    Object.assign(channel, changes);
    channel.ours = { tag: "processing", unsettled, sinceMs: draft.timeMs, cursor, found, lackBefore };
  });
  const channel = permitsOf(draft, peerId, pool);
  if (unsettled.length === 0 && channel !== undefined) {
    endProcessing(draft, peerId, pool, channel, context);
    return;
  }
  const expire = { type: "pool/expire", pool, peerId, attemptId } as const;
  wakeAt(draft, `settle ${pool} ${attemptId}`, draft.timeMs + SETTLE_TIMEOUT_MS, expire);
  for (const info of infos) context.propose({ type: "fetch/announce", pool, peerId, info });
  context.propose({ type: "fetch/next", peerId });
}
