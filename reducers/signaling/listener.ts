import type { BroughtFlow, ExchangeMessage } from "../../core/channels/exchange.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import {
  EXCHANGE_ANSWER_MS,
  EXCHANGE_GRACE_MS,
  EXCHANGE_PERIOD_MS,
  EXCHANGE_PERMIT_MS,
  EXCHANGE_PERMITS,
} from "../../core/limits.ts";
import { type Envelope, envelopeBytes, envelopeOf } from "../../core/signals.ts";
import type { LivePeer, State } from "../../core/state.ts";
import { hasRoomForStrangers, isHalfOpenFull } from "../admission-budgets.ts";
import { placeReached, startAttempt } from "../attempts.ts";
import { accuse } from "../channels/violation.ts";
import type { Context, StateDraft } from "../rules.ts";
import { attemptOf, forgetWake, livePeer, updateChannel, wakeAt } from "../state.ts";
import { byLot } from "./lot.ts";

/** The listener of 7.2: lets relays bring offers, few of them, and answers each in time. */

/** Permits for peers in random turn, while there is a free slot. */
export function giveExchangePermits(draft: StateDraft, { effect }: Context): void {
  const open = [...draft.peers.values()].flatMap(({ peerId, live }) =>
    live?.exchange == null ? [] : [{ peerId, attemptId: live.attemptId, ours: live.exchange.ours }],
  );
  const relays = open.filter(({ ours }) => isIdle(ours));
  const offers = recentOffers(draft);
  const taken = open.filter(({ ours }) => isPermit(ours)).length + offers.length;
  const most = hasRoomForStrangers(draft) ? EXCHANGE_PERMITS - taken : 0;
  for (const { peerId, attemptId } of byLot(draft, relays, most)) {
    setBrought(draft, peerId, { tag: "permitGiven" });
    lapseAfter(draft, peerId, attemptId, EXCHANGE_PERMIT_MS);
    effect({ type: "effect/send", attemptId, channel: "signaling/exchange", message: { tag: "getNext" } });
  }
  const [oldestMs] = offers;
  if (relays.length > most && oldestMs !== undefined)
    wakeAt(draft, "exchange", oldestMs + EXCHANGE_PERIOD_MS, { type: "exchange/givePermits" });
}

export const hasIdleRelays = ({ peers }: State): boolean =>
  [...peers.values()].some(({ live }) => live?.exchange != null && isIdle(live.exchange.ours));

const isIdle = ({ tag }: BroughtFlow): boolean => tag === "idle" || tag === "void";

/** A lapsed permit too: its offer may still come. */
const isPermit = ({ tag }: BroughtFlow): boolean => tag === "permitGiven" || tag === "lapsed";

const recentOffers = ({ offersMs, timeMs }: State): readonly number[] =>
  offersMs.filter((atMs) => timeMs < atMs + EXCHANGE_PERIOD_MS);

export function lapse(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, { propose }: Context): void {
  const tag = livePeer(draft, peerId)?.exchange?.ours.tag;
  if (tag === "permitGiven") {
    setBrought(draft, peerId, { tag: "lapsed" });
    lapseAfter(draft, peerId, attemptId, EXCHANGE_GRACE_MS);
  } else if (tag === "lapsed") {
    setBrought(draft, peerId, { tag: "void", sinceMs: draft.timeMs });
    forgetOldestVoid(draft);
    propose({ type: "exchange/givePermits" });
  }
}

/**
 * At most EXCHANGE_PERMITS lapsed permits are remembered as void. Otherwise relays that hold back all of theirs could
 * each bring an Offer at once. Five later ones take 90 s more, and no link is stalled for so long.
 */
function forgetOldestVoid(draft: StateDraft): void {
  const ends = [...draft.peers.values()].flatMap(({ peerId, live }) => {
    const ours = live?.exchange?.ours;
    return ours?.tag === "void" ? [{ peerId, sinceMs: ours.sinceMs }] : [];
  });
  const [oldest] = ends.sort((a, b) => a.sinceMs - b.sinceMs);
  if (oldest !== undefined && ends.length > EXCHANGE_PERMITS)
    setBrought(draft, oldest.peerId, { tag: "idle" });
}

function lapseAfter(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, ms: number): void {
  wakeAt(draft, `lapse ${attemptId}`, draft.timeMs + ms, { type: "exchange/lapse", peerId, attemptId });
}

/** A relay brings an offer: from here on it is admitted like one that came over HTTP (3.2). */
export function receiveOffer(
  draft: StateDraft,
  relay: PeerId,
  live: LivePeer,
  { from, offer }: Extract<ExchangeMessage, { tag: "offer" }>,
  context: Context,
): void {
  const { attemptId } = live;
  const tag = live.exchange?.ours.tag;
  if (tag === "void") {
    // Our process slept or the link stalled: nobody's fault. It costs no more than the unused permit.
    answerRelay(draft, relay, live, null, context);
    return;
  }
  if (tag !== "permitGiven" && tag !== "lapsed") {
    accuse(
      attemptId,
      "signaling/exchange",
      { reason: "noPermit", detail: "Offer without a permit" },
      context,
    );
    return;
  }
  forgetWake(draft, `lapse ${attemptId}`);
  draft.offersMs = [...recentOffers(draft), draft.timeMs];
  // Private candidates of a dialer count only if the relay is reached at such an address itself (section 3).
  const remote = placeReached(attemptOf(draft, live.attemptId));
  if (tag === "lapsed" || draft.stopping || isHalfOpenFull(draft, remote)) {
    answerRelay(draft, relay, live, null, context);
    return;
  }
  const answering = startAttempt(draft, {
    direction: "incoming",
    phase: { tag: "openingOffer" },
    peerId: null,
    target: null,
    remote,
    requestId: null,
    via: { peerId: relay, attemptId, from },
    nonce: "",
  });
  setBrought(draft, relay, { tag: "answering", attemptId: answering });
  const expire = { type: "exchange/expire", peerId: relay, attemptId } as const;
  wakeAt(draft, `answer ${attemptId}`, draft.timeMs + EXCHANGE_ANSWER_MS, expire);
  const envelope = envelopeBytes(offer);
  context.effect({ type: "effect/openEnvelope", attemptId: answering, kind: "offer", envelope });
}

/** @param reply null: there is none */
export function answerOffer(
  draft: StateDraft,
  relay: PeerId,
  reply: Uint8Array | null,
  context: Context,
): void {
  const live = livePeer(draft, relay);
  if (live !== undefined) answerRelay(draft, relay, live, reply === null ? null : envelopeOf(reply), context);
}

export function isAnswering(state: State, relay: PeerId, answering: AttemptId): boolean {
  const ours = livePeer(state, relay)?.exchange?.ours;
  return ours?.tag === "answering" && ours.attemptId === answering;
}

/** It has taken too long: there is none to give. */
export function answerLate(draft: StateDraft, relay: PeerId, { propose }: Context): void {
  const ours = livePeer(draft, relay)?.exchange?.ours;
  if (ours?.tag !== "answering") return;
  const detail = "not answered in time";
  propose({ type: "attempt/fail", attemptId: ours.attemptId, detail, rejection: null, retryAfterMs: 0 });
}

function answerRelay(
  draft: StateDraft,
  relay: PeerId,
  { attemptId }: LivePeer,
  reply: Envelope | null,
  { effect, propose }: Context,
): void {
  setBrought(draft, relay, { tag: "idle" });
  forgetWake(draft, `answer ${attemptId}`);
  const message = { tag: "answer", reply } as const;
  effect({ type: "effect/send", attemptId, channel: "signaling/exchange", message });
  propose({ type: "exchange/givePermits" });
}

/** The relay's connection has ended: nobody waits for the reply. */
export function endListening(
  draft: StateDraft,
  { exchange, attemptId }: LivePeer,
  { propose }: Context,
): void {
  for (const wake of ["lapse", "answer"]) forgetWake(draft, `${wake} ${attemptId}`);
  if (exchange?.ours.tag !== "answering") return;
  const detail = "the relay is gone";
  propose({
    type: "attempt/fail",
    attemptId: exchange.ours.attemptId,
    detail,
    rejection: null,
    retryAfterMs: 0,
  });
}

function setBrought(draft: StateDraft, peerId: PeerId, flow: BroughtFlow): void {
  updateChannel(draft, peerId, "exchange", (channel) => {
    channel.ours = flow;
  });
}
