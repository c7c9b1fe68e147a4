import type { BestTipAction } from "../../core/actions.ts";
import { type BlockHeader, type Tip, tipOf } from "../../core/block.ts";
import type { BestTipChannel } from "../../core/channels/best-tip.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { PeerId } from "../../core/ids.ts";
import { TIP_SETTLE_MS } from "../../core/limits.ts";
import { POOL_NAMES } from "../../core/pools.ts";
import type { LivePeer, State } from "../../core/state.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { forgetWake, liveAttempt, livePeer, updateChannel, wakeAt } from "../state.ts";
import { accuse, type Violation } from "./violation.ts";

/** 7.3: who may say what on the channel. What becomes of an announced tip is for sync.ts. */

export const bestTip: Rules<BestTipAction> = {
  "bestTip/receive": {
    enabled: (state, { peerId }) => channelOf(state, peerId) !== undefined,
    reduce: (draft, { peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      if (live === undefined) return;
      if (message.tag === "getNext") receiveGetNext(draft, peerId, live, context);
      else receiveHeader(draft, peerId, live, message.header, context);
    },
  },

  "bestTip/givePermit": {
    enabled: (state, { peerId }) => channelOf(state, peerId)?.ours.tag === "idle" && canSend(state, peerId),
    reduce: (draft, { peerId }, { effect }) => {
      const attemptId = livePeer(draft, peerId)?.attemptId;
      if (attemptId === undefined) return;
      updateChannel(draft, peerId, "bestTip", (channel) => {
        channel.ours = { tag: "permitGiven" };
      });
      effect({ type: "effect/send", attemptId, channel: "best-tip", message: { tag: "getNext" } });
    },
  },

  "bestTip/announce": {
    enabled: (state, { peerId }) => {
      const channel = channelOf(state, peerId);
      return (
        channel !== undefined && channel.theirs === "open" && canSend(state, peerId) && isNews(state, channel)
      );
    },
    reduce: (draft, { peerId }, { effect }) => {
      const attemptId = livePeer(draft, peerId)?.attemptId;
      if (attemptId === undefined) return;
      const { tip } = draft.chain;
      updateChannel(draft, peerId, "bestTip", (channel) => {
        channel.theirs = "none";
        channel.announced = tip;
      });
      const message = { tag: "bestTip", header: tip } as const;
      effect({ type: "effect/send", attemptId, channel: "best-tip", message });
    },
  },

  "bestTip/settle": {
    enabled: (state, { peerId, attemptId, hash }) => {
      const ours = liveAttempt(state, peerId, attemptId)?.bestTip?.ours;
      return ours?.tag === "processing" && ours.hash === hash;
    },
    reduce: (draft, { peerId, attemptId }, { propose }) => {
      updateChannel(draft, peerId, "bestTip", (channel) => {
        channel.ours = { tag: "idle" };
      });
      forgetWake(draft, `tip ${attemptId}`);
      propose({ type: "bestTip/givePermit", peerId });
    },
  },
};

const channelOf = (state: State, peerId: PeerId): BestTipChannel | undefined =>
  livePeer(state, peerId)?.bestTip ?? undefined;

const canSend = (state: State, peerId: PeerId): boolean =>
  livePeer(state, peerId)?.blocked.includes("best-tip") === false;

/** The peer compares with the last header it received from us, and equal is not better. */
const isNews = ({ chain, config }: State, { announced }: BestTipChannel): boolean =>
  announced === null || isBetterTip(chain.tip, announced, config.chain);

function receiveGetNext(
  draft: StateDraft,
  peerId: PeerId,
  { attemptId, bestTip }: LivePeer,
  context: Context,
): void {
  if (bestTip?.theirs === "open") {
    accuse(
      attemptId,
      "best-tip",
      { reason: "overLimit", detail: "a second GetNext while one is open" },
      context,
    );
    return;
  }
  updateChannel(draft, peerId, "bestTip", (channel) => {
    channel.theirs = "open";
  });
  context.propose({ type: "bestTip/announce", peerId });
}

function receiveHeader(
  draft: StateDraft,
  peerId: PeerId,
  { attemptId, bestTip }: LivePeer,
  header: BlockHeader,
  context: Context,
): void {
  if (bestTip === null) return;
  const tip = tipOf(header);
  const violation = violationOf(draft, bestTip, tip);
  if (violation !== null) {
    accuse(attemptId, "best-tip", violation, context);
    return;
  }
  const { hash } = tip;
  updateChannel(draft, peerId, "bestTip", (channel) => {
    channel.received = tip;
    channel.ours = { tag: "processing", hash };
  });
  const settle = { type: "bestTip/settle", peerId, attemptId, hash } as const;
  wakeAt(draft, `tip ${attemptId}`, draft.timeMs + TIP_SETTLE_MS, settle);
  context.propose({ type: "sync/weigh", peerId });
  // The gate of 7.4 may have opened.
  for (const pool of POOL_NAMES) context.propose({ type: "pool/sendInfos", pool, peerId });
}

function violationOf({ config }: State, { ours, received }: BestTipChannel, tip: Tip): Violation | null {
  if (ours.tag !== "permitGiven") return { reason: "noPermit", detail: "a tip without a permit" };
  if (received === null || isBetterTip(tip, received, config.chain)) return null;
  return { reason: "inferiorTip", detail: `tip ${tip.hash} is not better than ${received.hash} before it` };
}
