import { produce } from "immer";
import type { Action } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import type { PermitChannel } from "../core/channels/permits.ts";
import { clearDeadline, setDeadline } from "../core/deadlines.ts";
import type { AttemptId, PeerId } from "../core/ids.ts";
import type { Draft } from "../core/kernel.ts";
import type { PoolName } from "../core/pools.ts";
import type { Attempt, LivePeer, Peer, State } from "../core/state.ts";
import type { StateDraft } from "./rules.ts";

/** Reading and replacing the records of the state: what every rule needs. */

export const livePeer = (state: State, peerId: PeerId): LivePeer | undefined =>
  state.peers.get(peerId)?.live ?? undefined;

/** The live peer, if this attempt is still its connection: deadlines and answers of an older one mean nothing. */
export function liveAttempt(state: State, peerId: PeerId, attemptId: AttemptId): LivePeer | undefined {
  const live = livePeer(state, peerId);
  return live?.attemptId === attemptId ? live : undefined;
}

export function attemptOf(state: State, attemptId: AttemptId): Attempt {
  const attempt = state.attempts.get(attemptId);
  assert(attempt !== undefined, "a reducer runs only for an attempt that exists");
  return attempt;
}

export function updateAttempt(
  draft: StateDraft,
  attemptId: AttemptId,
  change: (attempt: Draft<Attempt>) => void,
): void {
  draft.attempts = draft.attempts.update(attemptId, (attempt) => produce(attempt, change));
}

export function updatePeer(draft: StateDraft, peerId: PeerId, change: (peer: Draft<Peer>) => void): void {
  draft.peers = draft.peers.update(peerId, (peer) => produce(peer, change));
}

/** What every message changes is copied, like the state itself; Immer drafts the rest. */
function copied<T>(record: T, change: (copy: Draft<T>) => void): T {
  const copy = { ...record };
  change(copy);
  return copy;
}

/** Fields may be replaced, what is in them may not be mutated. */
export function updateLive(draft: StateDraft, peerId: PeerId, change: (live: Draft<LivePeer>) => void): void {
  replaceLive(draft, peerId, (live) => copied(live, change));
}

export const permitsOf = (state: State, peerId: PeerId, pool: PoolName): PermitChannel | undefined =>
  livePeer(state, peerId)?.pools[pool] ?? undefined;

/** Fields may be replaced, what is in them may not be mutated. */
export function updatePermits(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  change: (channel: Draft<PermitChannel>) => void,
): void {
  replaceLive(draft, peerId, (live) => {
    const channel = live.pools[pool];
    return channel === null ? live : { ...live, pools: { ...live.pools, [pool]: copied(channel, change) } };
  });
}

/** The channels of which a peer has one; pools have their permits. */
type ChannelField = "bestTip" | "discovery" | "exchange" | "rpc" | "streaming";

/** Fields may be replaced, what is in them may not be mutated. A channel that is not used stays so. */
export function updateChannel<Field extends ChannelField>(
  draft: StateDraft,
  peerId: PeerId,
  field: Field,
  change: (channel: Draft<NonNullable<LivePeer[Field]>>) => void,
): void {
  replaceLive(draft, peerId, (live) => {
    const channel = live[field];
    return channel === null ? live : { ...live, [field]: copied(channel, change) };
  });
}

/** Immer drafts only what a rule writes to: each level of drafts above it costs more than its copy. */
function replaceLive(draft: StateDraft, peerId: PeerId, change: (live: LivePeer) => LivePeer): void {
  draft.peers = draft.peers.update(peerId, (peer) =>
    peer.live === null ? peer : { ...peer, live: change(peer.live) },
  );
}

/** Something is due: the action is proposed at that time, unless the name is set again or cleared before. */
export function wakeAt(draft: StateDraft, name: string, atMs: number, action: Action): void {
  draft.deadlines = setDeadline(draft.deadlines, { name, atMs, action });
}

export function forgetWake(draft: StateDraft, name: string): void {
  draft.deadlines = clearDeadline(draft.deadlines, name);
}
