import { pick } from "../../core/address-book.ts";
import type { PeerId } from "../../core/ids.ts";
import { ROTATE_BEHIND_MIN, ROTATE_MS } from "../../core/limits.ts";
import type { LivePeer, Peer, Promptness, State } from "../../core/state.ts";
import { outgoingReserve } from "../admission-budgets.ts";
import { isChosen } from "../attempts.ts";
import type { Context, StateDraft } from "../rules.ts";
import { operatorsPeers } from "../targets.ts";
import { dialEntry, hasDialsLeft, isDialable } from "./dial.ts";
import { anchorsOf } from "./kept.ts";

/**
 * Slowly, better peers replace worse ones: every 5 minutes one more than needed is dialed, from the book or else through
 * a relay (7.1). Then the worst leaves, of the peers that we chose or of those that relays named, whichever are too many:
 * a relay must not push out our choice. A newcomer no better than the others is the youngest and leaves again, so a
 * network that works stays as it is.
 */
export const mayRotate = (state: State): boolean =>
  state.timeMs >= state.book.rotatedMs + ROTATE_MS && hasDialsLeft(state);

export function rotate(draft: StateDraft, context: Context): void {
  const { rotatedMs, rotatedNamed } = draft.book;
  const { live, chosen, named } = liveCounts(draft);
  const { peersMax, peersMin } = draft.config;
  const isFirst = rotatedMs === 0;
  // More than that were found in rotation, or when peers lacked that have come since.
  const namedKept = isFirst || live <= peersMin ? named : Math.min(rotatedNamed, named);
  draft.book = { ...draft.book, rotatedMs: draft.timeMs, rotatedNamed: namedKept };
  if (isFirst) return;
  const candidate = pick(draft.book.addresses, draft, (entry) => isDialable(draft, entry));
  const isFull = draft.peers.size >= peersMax;
  if (live > peersMin) {
    // A full node has no slot to try anybody: there the worst leaves first, if there is somebody to try.
    if (chosen > outgoingReserve(peersMax) || (isFull && candidate !== null))
      dismiss(worstOf(draft, isChosen), context);
    else if (candidate === null && named > namedKept) dismiss(worstOf(draft, isNamed), context);
  }
  if (isFull) return;
  if (candidate !== null) dialEntry(draft, candidate, context);
  // Proposed, so that it runs after the dismissal: the relay that leaves is not asked.
  else context.propose({ type: "discovery/rotate" });
}

/** Peers still being dialed are not counted: they may never come, and nobody must leave for them. */
function liveCounts(state: State) {
  const live = [...state.peers.values()].filter((peer) => peer.live !== null);
  return {
    live: live.length,
    chosen: live.filter((peer) => isChosen(state, peer)).length,
    named: live.filter((peer) => isNamed(state, peer)).length,
  };
}

/** Found by a relay: we have dialed it, but not chosen. */
const isNamed = (state: State, peer: Peer): boolean =>
  peer.live?.direction === "outgoing" && !isChosen(state, peer);

function dismiss(worst: LivePeer | undefined, { propose }: Context): void {
  const attemptId = worst?.attemptId;
  const detail = "replaced to try another peer";
  if (attemptId !== undefined)
    propose({ type: "connection/disconnect", attemptId, reason: "useless", detail });
}

/** The worst of the candidates, but never an anchor or a peer of the operator. */
export function worstOf(
  state: State,
  isCandidate: (state: State, peer: Peer) => boolean,
): LivePeer | undefined {
  const stay = new Set<PeerId>([...anchorsOf(state).map(({ peerId }) => peerId), ...operatorsPeers(state)]);
  let worst: LivePeer | undefined;
  for (const peer of state.peers.values()) {
    const { peerId, live } = peer;
    if (live === null || !isCandidate(state, peer) || stay.has(peerId)) continue;
    if (worst === undefined || isWorse(state, live, worst)) worst = live;
  }
  return worst;
}

/** Behind, then slow, then young. */
function isWorse(state: State, a: LivePeer, b: LivePeer): boolean {
  const [aIsBehind, bIsBehind] = [isBehind(state, a), isBehind(state, b)];
  if (aIsBehind !== bIsBehind) return aIsBehind;
  const [aSlowness, bSlowness] = [SLOWNESS[a.record.promptness], SLOWNESS[b.record.promptness]];
  return aSlowness === bSlowness ? a.sinceMs > b.sinceMs : aSlowness > bSlowness;
}

function isBehind({ chain }: State, { bestTip }: LivePeer): boolean {
  if (bestTip === null) return false;
  return (bestTip.received?.height ?? 0) + ROTATE_BEHIND_MIN <= chain.tip.height;
}

const SLOWNESS: Readonly<Record<Promptness, number>> = { prompt: 0, new: 1, slow: 2 };
