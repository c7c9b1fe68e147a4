import type { TransactionAction } from "../../core/actions.ts";
import type { TransactionInfo } from "../../core/chain.ts";
import {
  type PermitWindow,
  type TransactionChannel,
  type TransactionMessage,
  unsettledOf,
} from "../../core/channels/transaction.ts";
import type { PeerId } from "../../core/ids.ts";
import {
  BAND_INTERVAL_MS,
  INFOS_MAX,
  RATE_BURST,
  REFLOORS_PER_SECOND,
  SCAN_ENTRIES_SPARE,
  SCAN_PERIOD_S,
  SCAN_WAIT_MS,
  SETTLE_TIMEOUT_MS,
} from "../../core/limits.ts";
import { answerPermit, resumeIndex } from "../../core/pool-log.ts";
import { comparePriority, type Priority } from "../../core/priority.ts";
import type { Bucket, LivePeer, State } from "../../core/state.ts";
import { refill, spend } from "../buckets.ts";
import { sameInfo, withdraw } from "../fetch.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { forgetWake, liveAttempt, livePeer, updateTransaction, wakeAt } from "../state.ts";
import { accuse, type Violation } from "./violation.ts";

/** 7.4: one permit, one message of announcements; the next permit when all of them are settled. */

const REFLOOR_RATE = { burst: RATE_BURST, perSecond: REFLOORS_PER_SECOND };

export const transaction: Rules<TransactionAction> = {
  "transaction/receive": {
    enabled: (state, { peerId }) => channelOf(state, peerId) !== undefined,
    reduce: (draft, { peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel === undefined) return;
      const violation = violationOf(channel, message);
      if (violation !== null) {
        accuse(live.attemptId, "transaction", violation, context);
        return;
      }
      receive(draft, live, peerId, message, context);
    },
  },

  "transaction/givePermit": {
    enabled: (state, { peerId }) => !state.stopping && channelOf(state, peerId)?.ours.tag === "idle",
    reduce: (draft, { peerId }, { effect }) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel === undefined) return;
      const window = nextWindow(draft, live, peerId, channel);
      updateTransaction(draft, peerId, (changed) => {
        changed.ours = { tag: "permitGiven", limit: INFOS_MAX, sinceMs: draft.timeMs, windows: [window] };
      });
      const message = { tag: "getNext", limit: INFOS_MAX, window, resume: null } as const;
      effect({ type: "effect/send", attemptId: live.attemptId, channel: "transaction", message });
    },
  },

  "transaction/refloor": {
    enabled: (state, { peerId, attemptId }) => {
      const channel = liveAttempt(state, peerId, attemptId)?.transaction;
      return channel?.ours.tag === "permitGiven" && bandOf(channel, state.timeMs) !== null;
    },
    reduce: (draft, { peerId, attemptId }, { effect }) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel?.ours.tag !== "permitGiven") return;
      const { ours } = channel;
      const window = nextWindow(draft, live, peerId, channel);
      updateTransaction(draft, peerId, (changed) => {
        changed.ours = { ...ours, windows: [...ours.windows, window] };
      });
      effect({ type: "effect/send", attemptId, channel: "transaction", message: { tag: "refloor", window } });
    },
  },

  "transaction/sendInfos": {
    enabled: (state, { peerId }) => {
      const live = livePeer(state, peerId);
      return live?.transaction?.theirs.tag === "open" && !live.blocked.includes("transaction");
    },
    reduce: (draft, { peerId }, { effect }) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel?.theirs.tag !== "open") return;
      const { limit, window } = channel.theirs;
      const budget = refill(channel.scanBudget ?? undefined, scanRate(draft), draft.timeMs);
      if (budget.tokens <= 0) {
        draft.waiting = draft.waiting.set(peerId, true);
        wakeAt(draft, `scan ${live.attemptId}`, draft.timeMs + SCAN_WAIT_MS, {
          type: "transaction/sendInfos",
          peerId,
        });
        return;
      }
      const answered = answerPermit(draft.transactions, channel.cursor, limit, window);
      const { cursor, answer, passedOver } = answered;
      updateTransaction(draft, peerId, (changed) => {
        changed.cursor = cursor;
        changed.scanBudget = { ...budget, tokens: budget.tokens - passedOver };
        if (answer !== null) changed.theirs = { tag: "none" };
      });
      forgetWake(draft, `scan ${live.attemptId}`);
      if (answer === null) {
        draft.waiting = draft.waiting.set(peerId, true);
        return;
      }
      draft.waiting = draft.waiting.delete(peerId);
      const next = { epoch: draft.transactions.epoch, next: BigInt(cursor) };
      const { items, rest } = answer;
      const message = { tag: "infos", cursor: next, seq: window.seq, rest, items } as const;
      effect({ type: "effect/send", attemptId: live.attemptId, channel: "transaction", message });
    },
  },

  "transaction/settle": {
    enabled: (state, { peerId, attemptId, hash }) => {
      const live = liveAttempt(state, peerId, attemptId);
      return live !== undefined && unsettledOf(live.transaction).includes(hash);
    },
    reduce: (draft, { peerId, attemptId, hash }, { propose }) => {
      const live = livePeer(draft, peerId);
      if (live === undefined) return;
      const unsettled = unsettledOf(live.transaction).filter((other) => other !== hash);
      updateTransaction(draft, peerId, (channel) => {
        if (unsettled.length === 0) channel.ours = { tag: "idle" };
        else if (channel.ours.tag === "processing") channel.ours = { ...channel.ours, unsettled };
      });
      if (unsettled.length > 0) return;
      forgetWake(draft, `settle ${attemptId}`);
      propose({ type: "transaction/givePermit", peerId });
    },
  },

  "transaction/expire": {
    enabled: (state, { peerId, attemptId }) => {
      const live = liveAttempt(state, peerId, attemptId);
      return live?.transaction?.ours.tag === "processing";
    },
    reduce: (draft, { peerId }, context) => {
      const live = livePeer(draft, peerId);
      if (live === undefined) return;
      for (const hash of unsettledOf(live.transaction)) withdraw(draft, peerId, hash, context);
      updateTransaction(draft, peerId, (channel) => {
        channel.ours = { tag: "idle" };
      });
      context.propose({ type: "transaction/givePermit", peerId });
    },
  },
};

/** The band to ask for now: all we may lack, unless the same was asked for lately and brought nothing lower. */
function bandOf({ high, lastBand }: TransactionChannel, timeMs: number): Priority | null {
  if (high === null || lastBand === null || timeMs >= lastBand.atMs + BAND_INTERVAL_MS) return high;
  return comparePriority(high, lastBand.band) > 0 ? high : null;
}

/** Numbers a window, and sees to it that a band that is held back is asked for later. This pool has no floor. */
function nextWindow(
  draft: StateDraft,
  { attemptId }: LivePeer,
  peerId: PeerId,
  channel: TransactionChannel,
): PermitWindow {
  const band = bandOf(channel, draft.timeMs);
  updateTransaction(draft, peerId, (changed) => {
    changed.nextSeq = channel.nextSeq + 1;
    if (band !== null) changed.lastBand = { band, atMs: draft.timeMs };
  });
  if (channel.high !== null && band === null && channel.lastBand !== null) {
    const refloorMs = channel.lastBand.atMs + BAND_INTERVAL_MS;
    wakeAt(draft, `band ${attemptId}`, refloorMs, { type: "transaction/refloor", peerId, attemptId });
  }
  return { seq: channel.nextSeq, floor: null, band };
}

/** A pool's worth per minute, so that the cost of a message does not grow with the pool for long. */
function scanRate({ transactions }: State): Bucket {
  const burst = transactions.entries.size + SCAN_ENTRIES_SPARE;
  return { burst, perSecond: burst / SCAN_PERIOD_S };
}

const channelOf = (state: State, peerId: PeerId): TransactionChannel | undefined =>
  livePeer(state, peerId)?.transaction ?? undefined;

/** What the bytes alone prove to be against the rules (section 5), in the state this channel is in. */
function violationOf(channel: TransactionChannel, message: TransactionMessage): Violation | null {
  switch (message.tag) {
    case "getNext":
      if (channel.theirs.tag === "open")
        return { reason: "overLimit", detail: "a second GetNext while one is open" };
      return growingSeq(channel, message.window.seq);
    case "refloor":
      return growingSeq(channel, message.window.seq);
    case "infos": {
      if (channel.ours.tag !== "permitGiven") return { reason: "noPermit", detail: "Infos without a permit" };
      const { limit, windows } = channel.ours;
      const window = windows.find(({ seq }) => seq === message.seq);
      if (message.items.length > limit) {
        return { reason: "overLimit", detail: `${message.items.length} infos for a permit of ${limit}` };
      }
      if (window === undefined)
        return { reason: "badState", detail: `Infos.seq ${message.seq} was not given` };
      if (message.items.length === 0 && window.band === null)
        return { reason: "badState", detail: "empty Infos without a finished band" };
      return contradiction(message.items);
    }
  }
}

/** Two different infos for one hash cannot both be right. */
function contradiction(items: readonly TransactionInfo[]): Violation | null {
  const infos = new Map<string, TransactionInfo>();
  for (const info of items) {
    const other = infos.get(info.hash);
    if (other !== undefined && !sameInfo(other, info))
      return { reason: "itemMismatch", detail: `two different infos for ${info.hash}` };
    infos.set(info.hash, info);
  }
  return null;
}

const growingSeq = (channel: TransactionChannel, seq: number): Violation | null =>
  seq > channel.theirSeq ? null : { reason: "badState", detail: `window.seq ${seq} does not grow` };

function receive(
  draft: StateDraft,
  live: LivePeer,
  peerId: PeerId,
  message: TransactionMessage,
  context: Context,
): void {
  switch (message.tag) {
    case "getNext": {
      const { limit, window, resume } = message;
      updateTransaction(draft, peerId, (channel) => {
        channel.theirs = { tag: "open", limit, window };
        channel.theirSeq = window.seq;
        if (resume !== null) channel.cursor = resumeIndex(draft.transactions, resume);
      });
      context.propose({ type: "transaction/sendInfos", peerId });
      return;
    }
    case "refloor":
      refloor(draft, live, peerId, message.window, context);
      return;
    case "infos":
      announce(draft, live, peerId, message, context);
  }
}

/** Replaces the window of the open permit; gives none, and is ignored if none is open. */
function refloor(
  draft: StateDraft,
  live: LivePeer,
  peerId: PeerId,
  window: Extract<TransactionMessage, { tag: "refloor" }>["window"],
  context: Context,
): void {
  if (live.transaction === null) return;
  const { refloorBudget } = live.transaction;
  const { budget, waitS } = spend(refill(refloorBudget, REFLOOR_RATE, draft.timeMs), REFLOOR_RATE);
  if (waitS > 0) {
    const violation = { reason: "overLimit", detail: "Refloor faster than agreed" } as const;
    accuse(live.attemptId, "transaction", violation, context);
    return;
  }
  updateTransaction(draft, peerId, (channel) => {
    channel.refloorBudget = budget;
    channel.theirSeq = window.seq;
    if (channel.theirs.tag === "open") channel.theirs = { ...channel.theirs, window };
  });
  context.propose({ type: "transaction/sendInfos", peerId });
}

function announce(
  draft: StateDraft,
  { attemptId }: LivePeer,
  peerId: PeerId,
  { seq, rest, items }: Extract<TransactionMessage, { tag: "infos" }>,
  context: Context,
): void {
  const unsettled = [...new Set(items.map(({ hash }) => hash))];
  updateTransaction(draft, peerId, (channel) => {
    const windows = channel.ours.tag === "permitGiven" ? channel.ours.windows : [];
    // Without a band the answer says nothing of what we may lack.
    if (windows.some((window) => window.seq === seq && window.band !== null)) channel.high = rest;
    channel.ours =
      unsettled.length === 0 ? { tag: "idle" } : { tag: "processing", unsettled, sinceMs: draft.timeMs };
  });
  forgetWake(draft, `band ${attemptId}`);
  if (unsettled.length === 0) {
    context.propose({ type: "transaction/givePermit", peerId });
    return;
  }
  const expire = { type: "transaction/expire", peerId, attemptId } as const;
  wakeAt(draft, `settle ${attemptId}`, draft.timeMs + SETTLE_TIMEOUT_MS, expire);
  for (const info of items) context.propose({ type: "fetch/announce", peerId, info });
  context.propose({ type: "fetch/next", peerId });
}
