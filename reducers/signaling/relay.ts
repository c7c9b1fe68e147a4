import {
  type DiscoveryChannel,
  type DiscoveryMessage,
  freshDiscovery,
  type PastFlows,
  type RelayedFlow,
} from "../../core/channels/discovery.ts";
import { peerPublicKey } from "../../core/identity.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import {
  DISCOVERED_AGAIN_MS,
  DISCOVERED_REMEMBERED_MAX,
  DISCOVERY_FLOW_MS,
  DISCOVERY_PAUSE_MS,
  DISCOVERY_REJECTED_PAUSE_MS,
  DISCOVERY_REJECTS_MAX,
  EXCHANGE_PERMIT_MS,
  EXCHANGE_RENEW_MIN_MS,
  EXCHANGE_USABLE_MS,
  OFFERED_AGAIN_MS,
  PAST_DIALERS_MAX,
} from "../../core/limits.ts";
import type { Envelope } from "../../core/signals.ts";
import type { LivePeer, State } from "../../core/state.ts";
import { accuse } from "../channels/violation.ts";
import type { Context, StateDraft } from "../rules.ts";
import { forgetWake, liveAttempt, livePeer, updateChannel, wakeAt } from "../state.ts";
import { byLot } from "./lot.ts";

/**
 * The relay of 7.1 and 7.2: between a dialer, who has a discovery permit of ours, and a listener, who gave us an exchange
 * permit. Only our clock ends a flow of the dialer, by one Answer; we cannot read the envelopes.
 */

export function giveDiscoveryPermit(draft: StateDraft, peerId: PeerId, { effect }: Context): void {
  const live = livePeer(draft, peerId);
  if (live?.discovery?.ours.tag !== "idle") return;
  const { past } = live.discovery.ours;
  if (draft.timeMs < past.pausedUntilMs) {
    permitAfterPause(draft, peerId, live.attemptId, past);
    return;
  }
  setFlow(draft, peerId, { tag: "permitGiven", past });
  const channel = "signaling/discovery";
  effect({ type: "effect/send", attemptId: live.attemptId, channel, message: { tag: "getNext" } });
}

/** What a dialer says. */
export function receiveFromDialer(
  draft: StateDraft,
  peerId: PeerId,
  live: LivePeer,
  message: Extract<DiscoveryMessage, { tag: "discover" | "reject" | "accept" }>,
  context: Context,
): void {
  const flow = live.discovery?.ours;
  if (flow === undefined) return;
  const { past } = flow;
  if (message.tag === "discover") {
    if (flow.tag === "permitGiven") discover(draft, peerId, live, { ...past, crossed: false }, context);
    else
      accuse(
        live.attemptId,
        "signaling/discovery",
        { reason: "noPermit", detail: "Discover without a permit" },
        context,
      );
    return;
  }
  if (flow.tag !== "discovered") {
    if (past.crossed) setFlow(draft, peerId, { ...flow, past: { ...past, crossed: false } });
    else {
      const detail = `${message.tag} without Discovered`;
      accuse(live.attemptId, "signaling/discovery", { reason: "badState", detail }, context);
    }
    return;
  }
  if (message.tag === "accept") {
    passOn(draft, peerId, flow, message.offer, context);
    return;
  }
  letGo(draft, flow.listener);
  endFlow(draft, peerId, live.attemptId, declined(flow, draft.timeMs + DISCOVERED_AGAIN_MS));
}

/** The listener is not named to this dialer for a while, and after some in a row the dialer pauses. */
const declined = ({ listener, past }: Discovered, untilMs: number): PastFlows =>
  told({ ...past, rejects: past.rejects + 1 }, listener, untilMs);

/**
 * Saying nothing counts like a Reject: it keeps the listener from others, for longer than that. Once it may be bad luck,
 * of a dialer that was restarted, say, and perhaps nobody else can be named.
 */
function unsaid(flow: Discovered, timeMs: number): PastFlows {
  const isFirst = flow.past.rejects === 0;
  return declined(flow, timeMs + (isFirst ? OFFERED_AGAIN_MS : DISCOVERED_AGAIN_MS));
}

type Discovered = Extract<RelayedFlow, { tag: "discovered" }>;

/** Passes the offer on to the listener, unless its permit has lapsed meanwhile. */
function passOn(
  draft: StateDraft,
  dialer: PeerId,
  { listener, past }: Discovered,
  offer: Envelope,
  context: Context,
): void {
  const to = livePeer(draft, listener);
  if (to?.exchange?.theirs.tag !== "kept") return;
  const { sinceMs } = to.exchange.theirs;
  if (draft.timeMs >= sinceMs + EXCHANGE_PERMIT_MS) {
    letGo(draft, listener);
    answerDialer(draft, dialer, null, past, context);
    return;
  }
  setFlow(draft, dialer, {
    tag: "offered",
    listener,
    past: told({ ...past, rejects: 0 }, listener, draft.timeMs + OFFERED_AGAIN_MS),
  });
  updateChannel(draft, listener, "exchange", (channel) => {
    channel.theirs = { tag: "offered", sinceMs, dialer };
  });
  const message = { tag: "offer", from: peerPublicKey(dialer), offer } as const;
  context.effect({ type: "effect/send", attemptId: to.attemptId, channel: "signaling/exchange", message });
}

/** A listener with a permit, by lot; or nobody. */
function discover(
  draft: StateDraft,
  dialer: PeerId,
  { attemptId }: LivePeer,
  past: PastFlows,
  context: Context,
): void {
  const offeredUntilMs = past.offeredUntilMs.filter(([, untilMs]) => untilMs > draft.timeMs);
  const recent = new Set(offeredUntilMs.map(([peerId]) => peerId));
  const listeners = [...draft.peers.values()].filter(
    ({ peerId, live }) => peerId !== dialer && !recent.has(peerId) && isUsable(live, draft.timeMs),
  );
  const [chosen] = byLot(draft, listeners, 1);
  const now = { ...past, offeredUntilMs };
  if (chosen === undefined) {
    answerDialer(draft, dialer, null, now, context);
    return;
  }
  const { peerId: listener } = chosen;
  setFlow(draft, dialer, { tag: "discovered", listener, past: now });
  updateChannel(draft, listener, "exchange", (channel) => {
    const sinceMs = channel.theirs.tag === "permitOpen" ? channel.theirs.sinceMs : draft.timeMs;
    channel.theirs = { tag: "kept", sinceMs, dialer };
  });
  const expire = { type: "discovery/expire", peerId: dialer, attemptId } as const;
  wakeAt(draft, `flow ${attemptId}`, draft.timeMs + DISCOVERY_FLOW_MS, expire);
  const message = { tag: "discovered", target: peerPublicKey(listener) } as const;
  context.effect({ type: "effect/send", attemptId, channel: "signaling/discovery", message });
}

const isUsable = (live: LivePeer | null, timeMs: number): boolean =>
  live?.exchange?.theirs.tag === "permitOpen" && timeMs < live.exchange.theirs.sinceMs + EXCHANGE_USABLE_MS;

/** The time of a flow is over. */
export function expireFlow(draft: StateDraft, dialer: PeerId, context: Context): void {
  const flow = livePeer(draft, dialer)?.discovery?.ours;
  if (flow?.tag === "discovered") setFlow(draft, dialer, { ...flow, past: unsaid(flow, draft.timeMs) });
  endDialersFlow(draft, dialer, null, context);
}

/** The flow of a dialer has an end: time is over, the listener is gone, or has answered. */
export function endDialersFlow(
  draft: StateDraft,
  dialer: PeerId,
  reply: Envelope | null,
  context: Context,
): void {
  const flow = livePeer(draft, dialer)?.discovery?.ours;
  if (flow?.tag !== "discovered" && flow?.tag !== "offered") return;
  const crossed = flow.tag === "discovered";
  if (crossed) letGo(draft, flow.listener);
  else expectNothing(draft, flow.listener, dialer);
  answerDialer(draft, dialer, reply, { ...flow.past, crossed }, context);
}

/**
 * A permit of a listener came. If we have one already, that one has lapsed for the listener, by a clock of its own, and
 * this takes its place. If an offer is under way they have crossed: the listener uses this permit for it, since it sends
 * an Answer before the next permit.
 */
export function receiveExchangePermit(
  draft: StateDraft,
  peerId: PeerId,
  live: LivePeer,
  context: Context,
): void {
  const theirs = live.exchange?.theirs ?? { tag: "none" };
  if (theirs.tag !== "none" && draft.timeMs < theirs.sinceMs + EXCHANGE_RENEW_MIN_MS) {
    const detail = "a second GetNext while one is open";
    accuse(live.attemptId, "signaling/exchange", { reason: "overLimit", detail }, context);
    return;
  }
  updateChannel(draft, peerId, "exchange", (channel) => {
    const sinceMs = draft.timeMs;
    channel.theirs = theirs.tag === "none" ? { tag: "permitOpen", sinceMs } : { ...theirs, sinceMs };
  });
}

/** A listener has answered an offer: the dialer gets it, if it still waits. */
export function receiveListenersAnswer(
  draft: StateDraft,
  listener: PeerId,
  live: LivePeer,
  reply: Envelope | null,
  context: Context,
): void {
  if (live.exchange?.theirs.tag !== "offered") {
    const detail = "an Answer without an offer";
    accuse(live.attemptId, "signaling/exchange", { reason: "badState", detail }, context);
    return;
  }
  const { dialer } = live.exchange.theirs;
  updateChannel(draft, listener, "exchange", (channel) => {
    channel.theirs = { tag: "none" };
  });
  if (dialer !== null) endDialersFlow(draft, dialer, reply, context);
}

/** A peer's connection has ended: whom it kept waiting waits no more. */
export function endRelaying(
  draft: StateDraft,
  peerId: PeerId,
  { discovery, exchange, attemptId }: LivePeer,
  context: Context,
): void {
  for (const wake of ["flow", "discovery"]) forgetWake(draft, `${wake} ${attemptId}`);
  const flow = discovery?.ours;
  if (flow !== undefined) keepPast(draft, peerId, flow);
  if (flow?.tag === "discovered") letGo(draft, flow.listener);
  if (flow?.tag === "offered") expectNothing(draft, flow.listener, peerId);
  const theirs = exchange?.theirs;
  const dialer = theirs?.tag === "kept" || theirs?.tag === "offered" ? theirs.dialer : null;
  if (dialer !== null) endDialersFlow(draft, dialer, null, context);
}

/** The listener still has the offer, but nobody waits for its Answer any more. */
function expectNothing(draft: StateDraft, listener: PeerId, dialer: PeerId): void {
  updateChannel(draft, listener, "exchange", (channel) => {
    if (channel.theirs.tag === "offered" && channel.theirs.dialer === dialer)
      channel.theirs = { ...channel.theirs, dialer: null };
  });
}

/** The listener's permit serves another dialer. */
function letGo(draft: StateDraft, listener: PeerId): void {
  updateChannel(draft, listener, "exchange", (channel) => {
    const { theirs } = channel;
    if (theirs.tag === "kept") channel.theirs = { tag: "permitOpen", sinceMs: theirs.sinceMs };
  });
}

function answerDialer(
  draft: StateDraft,
  dialer: PeerId,
  reply: Envelope | null,
  past: PastFlows,
  { effect }: Context,
): void {
  const live = livePeer(draft, dialer);
  if (live === undefined) return;
  const message = { tag: "answer", reply } as const;
  effect({ type: "effect/send", attemptId: live.attemptId, channel: "signaling/discovery", message });
  endFlow(draft, dialer, live.attemptId, past);
}

function endFlow(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, past: PastFlows): void {
  forgetWake(draft, `flow ${attemptId}`);
  const paused = pausedNow(past, draft.timeMs);
  setFlow(draft, peerId, { tag: "idle", past: paused });
  permitAfterPause(draft, peerId, attemptId, paused);
}

/** The next permit comes after a pause. */
function pausedNow(past: PastFlows, timeMs: number): PastFlows {
  const isPicky = past.rejects >= DISCOVERY_REJECTS_MAX;
  const pauseMs = isPicky ? DISCOVERY_REJECTED_PAUSE_MS : DISCOVERY_PAUSE_MS;
  return { ...past, rejects: isPicky ? 0 : past.rejects, pausedUntilMs: timeMs + pauseMs };
}

function permitAfterPause(
  draft: StateDraft,
  peerId: PeerId,
  attemptId: AttemptId,
  { pausedUntilMs }: PastFlows,
): void {
  const givePermit = { type: "discovery/givePermit", peerId, attemptId } as const;
  wakeAt(draft, `discovery ${attemptId}`, pausedUntilMs, givePermit);
}

/** The channel with a new connection of a peer, with what is remembered of it as a dialer. */
export function openDiscovery(draft: StateDraft, peerId: PeerId): DiscoveryChannel {
  const past = draft.pastDialers.get(peerId);
  draft.pastDialers = draft.pastDialers.delete(peerId);
  return freshDiscovery(past);
}

function keepPast(draft: StateDraft, peerId: PeerId, flow: RelayedFlow): void {
  const { timeMs } = draft;
  const isCut = flow.tag === "discovered" || flow.tag === "offered";
  const before = flow.tag === "discovered" ? unsaid(flow, timeMs) : flow.past;
  const past = { ...(isCut ? pausedNow(before, timeMs) : before), crossed: false };
  let kept = draft.pastDialers.delete(peerId);
  for (const [other, theirs] of kept.entries()) if (endOf(theirs) <= timeMs) kept = kept.delete(other);
  draft.pastDialers = endOf(past) > timeMs ? withRoomForOne(kept).set(peerId, past) : kept;
}

/** A full table forgets who would be forgotten next in any case: else whoever fills it leaves and comes back at will. */
function withRoomForOne(kept: State["pastDialers"]): State["pastDialers"] {
  if (kept.size < PAST_DIALERS_MAX) return kept;
  const [next] = [...kept.entries()].sort(([, a], [, b]) => endOf(a) - endOf(b));
  return next === undefined ? kept : kept.delete(next[0]);
}

/** When all of it has run out. */
const endOf = ({ pausedUntilMs, offeredUntilMs }: PastFlows): number =>
  Math.max(pausedUntilMs, ...offeredUntilMs.map(([, untilMs]) => untilMs));

function setFlow(draft: StateDraft, peerId: PeerId, flow: RelayedFlow): void {
  updateChannel(draft, peerId, "discovery", (channel) => {
    channel.ours = flow;
  });
}

/** So many are remembered; the oldest are forgotten. */
const told = (past: PastFlows, listener: PeerId, untilMs: number): PastFlows => ({
  ...past,
  offeredUntilMs: [
    ...past.offeredUntilMs.filter(([peerId]) => peerId !== listener),
    [listener, untilMs] as const,
  ].slice(-DISCOVERED_REMEMBERED_MAX),
});

export const isRelaying = (state: State, peerId: PeerId, attemptId: AttemptId): boolean => {
  const tag = liveAttempt(state, peerId, attemptId)?.discovery?.ours.tag;
  return tag === "discovered" || tag === "offered";
};
