import type { Hex } from "../../core/bytes.ts";
import type { DiscoveryMessage, SeekPurpose, SoughtFlow } from "../../core/channels/discovery.ts";
import { hexToPeerId, isPublicKey } from "../../core/identity.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import { DISCOVERY_PAUSE_MS, DISCOVERY_SILENCE_MS } from "../../core/limits.ts";
import { drawHex } from "../../core/rng.ts";
import { type Envelope, envelopeBytes, envelopeOf } from "../../core/signals.ts";
import type { Attempt, LivePeer, State } from "../../core/state.ts";
import { roomForNamed } from "../admission-budgets.ts";
import { holdSlot, startAttempt } from "../attempts.ts";
import { accuse } from "../channels/violation.ts";
import { bannedUntil, restsUntil } from "../penalties.ts";
import type { Context, StateDraft } from "../rules.ts";
import { forgetWake, liveAttempt, livePeer, updateAttempt, updateChannel, wakeAt } from "../state.ts";
import { byLot } from "./lot.ts";

/** The dialer of 7.1: asks relays for peers while it has too few, later for one now and then, and connects with them. */

/** Slots count while they are being filled: a node does not ask for more than it lacks. */
export const wantsPeers = ({ config, peers, stopping }: State): boolean =>
  !stopping && peers.size < Math.min(config.peersMin, config.peersMax);

/** One more than is lacking may be tried in a free slot, if there is a relay to ask. */
export const canRotate = (state: State): boolean =>
  hasSlot(state, "rotation") && relaysToAsk(state).length > 0;

/** Uses one permit for each peer that is lacking, as far as there are slots for whom relays name. */
export function seek(draft: StateDraft, context: Context): void {
  const asked = relaysThat(draft, "asked").length;
  const lacking = Math.min(draft.config.peersMin, draft.config.peersMax) - draft.peers.size;
  askRelays(draft, Math.min(lacking, roomForNamed(draft)) - asked, "lack", context);
}

/** By lot: else one relay that knows nobody could be asked for ever. */
export function askRelays(draft: StateDraft, most: number, purpose: SeekPurpose, { effect }: Context): void {
  for (const { peerId, attemptId } of byLot(draft, relaysToAsk(draft), most)) {
    updateChannel(draft, peerId, "discovery", (channel) => {
      channel.theirs = { tag: "asked", purpose };
      channel.askedMs = draft.timeMs;
    });
    const silent = { type: "discovery/silent", peerId, attemptId } as const;
    wakeAt(draft, `seeking ${attemptId}`, draft.timeMs + DISCOVERY_SILENCE_MS, silent);
    const message = { tag: "discover" } as const;
    effect({ type: "effect/send", attemptId, channel: "signaling/discovery", message });
  }
}

const relaysToAsk = (state: State) =>
  relaysThat(state, "permitOpen").filter(({ askedMs }) => mayAskMs(askedMs) <= state.timeMs);

/** A relay keeps to this by itself, unless its clock leaps, or it wants us to make offers for nothing. */
const mayAskMs = (askedMs: number | null): number => (askedMs === null ? 0 : askedMs + DISCOVERY_PAUSE_MS);

const relaysThat = ({ peers }: State, tag: SoughtFlow["tag"]) =>
  [...peers.values()].flatMap(({ peerId, live }) =>
    live?.discovery?.theirs.tag === tag
      ? [{ peerId, attemptId: live.attemptId, askedMs: live.discovery.askedMs }]
      : [],
  );

/** What a relay says. */
export function receiveFromRelay(
  draft: StateDraft,
  relay: PeerId,
  live: LivePeer,
  message: Extract<DiscoveryMessage, { tag: "getNext" | "discovered" | "answer" }>,
  context: Context,
): void {
  if (live.discovery === null) return;
  const { theirs: flow, askedMs } = live.discovery;
  switch (message.tag) {
    case "getNext":
      if (flow.tag !== "none") {
        const detail = "a second GetNext while one is open";
        accuse(live.attemptId, "signaling/discovery", { reason: "overLimit", detail }, context);
        return;
      }
      setSought(draft, relay, { tag: "permitOpen" });
      context.propose({ type: "discovery/seek" });
      if (mayAskMs(askedMs) > draft.timeMs)
        wakeAt(draft, `seeking ${live.attemptId}`, mayAskMs(askedMs), { type: "discovery/seek" });
      return;
    case "discovered":
      if (flow.tag === "asked") approach(draft, relay, live, message.target, flow.purpose, context);
      else {
        const detail = "Discovered without Discover";
        accuse(live.attemptId, "signaling/discovery", { reason: "badState", detail }, context);
      }
      return;
    case "answer":
      answered(draft, relay, live, flow, message.reply, context);
  }
}

/** Makes an offer to the peer that the relay names, or declines. */
function approach(
  draft: StateDraft,
  relay: PeerId,
  live: LivePeer,
  target: Hex,
  purpose: SeekPurpose,
  context: Context,
): void {
  if (target === draft.config.publicKey) {
    const detail = "Discovered with our own key";
    accuse(live.attemptId, "signaling/discovery", { reason: "badState", detail }, context);
    return;
  }
  const peerId = isPublicKey(target) ? hexToPeerId(target) : null;
  if (peerId === null || !hasSlot(draft, purpose) || !isWelcome(draft, peerId)) {
    decline(draft, relay, live, context);
    return;
  }
  const attemptId = startAttempt(draft, {
    direction: "outgoing",
    phase: { tag: "offering" },
    peerId,
    target: null,
    remote: draft.attempts.get(live.attemptId)?.selected ?? null,
    requestId: null,
    via: { peerId: relay, attemptId: live.attemptId, from: null },
    nonce: drawHex(draft, 16),
  });
  holdSlot(draft, peerId, "dialing", attemptId);
  updateAttempt(draft, attemptId, (attempt) => {
    attempt.hasTransport = true;
  });
  setSought(draft, relay, { tag: "offering", attemptId });
  context.effect({ type: "effect/createOffer", attemptId });
}

const hasSlot = (state: State, purpose: SeekPurpose): boolean =>
  !state.stopping && roomForNamed(state) > 0 && (purpose === "rotation" || wantsPeers(state));

const isWelcome = (state: State, peerId: PeerId): boolean =>
  !state.peers.has(peerId) && bannedUntil(state, peerId) === 0 && restsUntil(state, peerId) === 0;

function decline(
  draft: StateDraft,
  relay: PeerId,
  { attemptId }: LivePeer,
  { effect, propose }: Context,
): void {
  setSought(draft, relay, { tag: "none", crossed: true });
  forgetWake(draft, `seeking ${attemptId}`);
  const message = { tag: "reject" } as const;
  effect({ type: "effect/send", attemptId, channel: "signaling/discovery", message });
  propose({ type: "discovery/seek" });
}

/** The offer is sealed: the relay gets it. @returns false if the relay is gone */
export function acceptDiscovered(
  draft: StateDraft,
  { id, via }: Attempt,
  envelope: Uint8Array,
  { effect }: Context,
): boolean {
  if (via === null || !isOffering(draft, via.peerId, id)) return false;
  setSought(draft, via.peerId, { tag: "accepted", attemptId: id });
  const message = { tag: "accept", offer: envelopeOf(envelope) } as const;
  effect({ type: "effect/send", attemptId: via.attemptId, channel: "signaling/discovery", message });
  return true;
}

/** An attempt ends before the relay has its offer: the relay must not wait for it. */
export function withdrawOffer(draft: StateDraft, relay: PeerId, context: Context): void {
  const live = livePeer(draft, relay);
  if (live !== undefined) decline(draft, relay, live, context);
}

export function isOffering(state: State, relay: PeerId, attemptId: AttemptId): boolean {
  const flow = livePeer(state, relay)?.discovery?.theirs;
  return flow?.tag === "offering" && flow.attemptId === attemptId;
}

/** The relay has ended the flow: with the listener's reply, or with nothing. */
function answered(
  draft: StateDraft,
  relay: PeerId,
  live: LivePeer,
  flow: SoughtFlow,
  reply: Envelope | null,
  context: Context,
): void {
  const isExpected = flow.tag === "accepted" || (reply === null && flow.tag !== "permitOpen");
  if (!isExpected || (flow.tag === "none" && !flow.crossed)) {
    const detail = "an Answer to nothing";
    accuse(live.attemptId, "signaling/discovery", { reason: "badState", detail }, context);
    return;
  }
  setSought(draft, relay, { tag: "none", crossed: false });
  forgetWake(draft, `seeking ${live.attemptId}`);
  // Another relay may know somebody.
  context.propose({ type: "discovery/seek" });
  if (flow.tag !== "offering" && flow.tag !== "accepted") return;
  const envelope = reply === null ? null : envelopeBytes(reply);
  context.propose({ type: "dial/relayed", attemptId: flow.attemptId, envelope });
}

export const isSeeking = (state: State, peerId: PeerId, attemptId: AttemptId): boolean => {
  const tag = liveAttempt(state, peerId, attemptId)?.discovery?.theirs.tag;
  return tag === "asked" || tag === "offering" || tag === "accepted";
};

/** The relay's connection has ended: what was to come through it will not. */
export function endSeeking(
  draft: StateDraft,
  { discovery, attemptId }: LivePeer,
  { propose }: Context,
): void {
  forgetWake(draft, `seeking ${attemptId}`);
  const flow = discovery?.theirs;
  if (flow?.tag === "offering" || flow?.tag === "accepted")
    propose({ type: "dial/relayed", attemptId: flow.attemptId, envelope: null });
}

function setSought(draft: StateDraft, peerId: PeerId, flow: SoughtFlow): void {
  updateChannel(draft, peerId, "discovery", (channel) => {
    channel.theirs = flow;
  });
}
