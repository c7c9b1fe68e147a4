import type { ConnectionAction } from "../core/actions.ts";
import { EVICTION_PROTECTED_MAX, EVICTION_SLOTS_MIN } from "../core/limits.ts";
import type { LivePeer, State } from "../core/state.ts";
import { incomingMax } from "./admission-budgets.ts";
import { groupReached, isChosen } from "./attempts.ts";
import type { Rules } from "./rules.ts";
import { operatorsPeers } from "./targets.ts";

/**
 * Who is evicted when all slots for incoming peers are taken (P25). The last slot is for the newcomer: once that is
 * ready, all incoming peers are compared and one goes, perhaps the newcomer. So nobody loses a slot to a mere offer, and
 * whoever wants others out has to be connected, and to be better.
 */
export const eviction: Rules<Extract<ConnectionAction, { type: "connection/makeRoom" }>> = {
  "connection/makeRoom": {
    enabled: (state) => !state.stopping && isCrowded(state),
    reduce: (draft, _makeRoom, { propose }) => {
      const leaving = chooseLeaving(draft);
      if (leaving === undefined) return;
      const detail = "all slots are taken, and this peer is the youngest of the largest group of addresses";
      propose({ type: "connection/disconnect", attemptId: leaving, reason: "capacity", detail });
    },
  },
};

/** A peer that may have to go. */
interface Incoming {
  readonly live: LivePeer;
  readonly group: string;
}

function isCrowded(state: State): boolean {
  const most = incomingMax(state);
  if (most < EVICTION_SLOTS_MIN) return false;
  // Only ready peers are counted: a mere offer must evict nobody.
  const live = [...state.peers.values()].filter((peer) => peer.live !== null).length;
  return live >= state.config.peersMax || incomingOf(state).length >= most;
}

/** Who may be evicted: not the peers that we or our operator chose to dial. */
function incomingOf(state: State): readonly Incoming[] {
  const { peers, attempts } = state;
  const wanted = operatorsPeers(state);
  const incoming: Incoming[] = [];
  for (const peer of peers.values()) {
    const { peerId, live } = peer;
    if (live === null || isChosen(state, peer) || wanted.has(peerId)) continue;
    const attempt = attempts.get(live.attemptId);
    incoming.push({ live, group: attempt === undefined ? "" : groupReached(attempt) });
  }
  return incoming;
}

/**
 * Who answers fastest, has served most or has been here longest stays, each of them something that an attacker does
 * not get for nothing. Of the others the youngest of the largest address group goes.
 */
function chooseLeaving(state: State): LivePeer["attemptId"] | undefined {
  const all = incomingOf(state);
  const share = Math.min(EVICTION_PROTECTED_MAX, Math.floor(all.length / 8));
  let others = without(all, share, ({ live }) => live.rpc?.fastestMs ?? null);
  others = without(others, share, ({ live }) => (live.rpc?.served ? -live.rpc.served : null));
  others = without(others, Math.floor(others.length / 2), ({ live }) => live.sinceMs);
  const sizes = new Map<string, number>();
  for (const { group } of others) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const largest = Math.max(...sizes.values());
  const crowd = others.filter(({ group }) => sizes.get(group) === largest);
  const youngest = crowd.reduce<Incoming | undefined>(
    (young, peer) => (young === undefined || isYounger(peer.live, young.live) ? peer : young),
    undefined,
  );
  return youngest?.live.attemptId;
}

/** Without the first `count` by this order; who has no place in it is not among them. */
function without(
  peers: readonly Incoming[],
  count: number,
  placeOf: (peer: Incoming) => number | null,
): readonly Incoming[] {
  const placed = peers.flatMap((peer) => {
    const place = placeOf(peer);
    return place === null ? [] : [{ peer, place }];
  });
  placed.sort((a, b) => a.place - b.place || a.peer.live.attemptId - b.peer.live.attemptId);
  const kept = new Set(placed.slice(0, count).map(({ peer }) => peer));
  return peers.filter((peer) => !kept.has(peer));
}

const isYounger = (a: LivePeer, b: LivePeer): boolean =>
  a.sinceMs > b.sinceMs || (a.sinceMs === b.sinceMs && a.attemptId > b.attemptId);
