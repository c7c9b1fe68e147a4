import { unsettledOf } from "../core/channels/permits.ts";
import { GOODBYE_DRAIN_MS } from "../core/limits.ts";
import { POOL_NAMES } from "../core/pools.ts";
import type { Reason } from "../core/reasons.ts";
import type { Attempt } from "../core/state.ts";
import { forgetAttemptWakes, releaseSlot } from "./attempts.ts";
import { lookSoon } from "./book/soon.ts";
import { withdraw } from "./fetch.ts";
import { bannedUntil, noteAcquaintance } from "./penalties.ts";
import { setWaiting } from "./pools.ts";
import { keepResume } from "./resume.ts";
import type { Context, StateDraft } from "./rules.ts";
import { endSeeking } from "./signaling/dialer.ts";
import { endListening } from "./signaling/listener.ts";
import { endRelaying } from "./signaling/relay.ts";
import { forgetWake, livePeer, updateAttempt, updatePeer, wakeAt } from "./state.ts";
import { backOff, redialAfterEnd, restAfterEnd } from "./targets.ts";

/** How a connection ends, whoever ends it. */

export interface Ending {
  readonly reason: Reason;
  readonly by: "us" | "them" | "world";
  readonly detail: string;
}

/** After a Goodbye, ours or theirs: nothing more is listened to, what was sent may still leave. */
export function leave(
  draft: StateDraft,
  attempt: Attempt,
  ending: Ending,
  leastWaitMs: number,
  context: Context,
): void {
  const wasReady = attempt.phase.tag === "ready";
  endLive(draft, attempt, ending, context, leastWaitMs);
  // As long as another connection with this key is live there is nothing to dial; its end sets the next dial.
  const hasOther = attempt.peerId !== null && livePeer(draft, attempt.peerId) !== undefined;
  if (!wasReady && attempt.target !== null && !hasOther) {
    backOff(draft, attempt.target, { attempt, rejection: null, retryAfterMs: leastWaitMs }, context);
  }
  if (!wasReady)
    context.dispatch({ type: "attempt/ended", attemptId: attempt.id, peerId: attempt.peerId, ...ending });
  forgetAttemptWakes(draft, attempt.id);
  releaseSlot(draft, attempt);
  updateAttempt(draft, attempt.id, (closing) => {
    closing.phase = { tag: "closing" };
    closing.early = [];
  });
  context.effect({ type: "effect/close", attemptId: attempt.id, graceful: true });
  wakeAt(draft, `cut ${attempt.id}`, draft.timeMs + GOODBYE_DRAIN_MS, {
    type: "connection/cut",
    attemptId: attempt.id,
  });
}

/** Everything that a ready connection held is released. Does nothing for one that was not ready. */
export function endLive(
  draft: StateDraft,
  attempt: Attempt,
  ending: Ending,
  context: Context,
  leastWaitMs = 0,
): void {
  const { id: attemptId, peerId } = attempt;
  const live = peerId === null ? undefined : livePeer(draft, peerId);
  if (peerId === null || live?.attemptId !== attemptId) return;
  forgetWake(draft, `ping ${attemptId}`);
  forgetWake(draft, `tip ${attemptId}`);
  forgetWake(draft, `verify ${attemptId}`);
  for (const pool of POOL_NAMES) {
    for (const wake of ["settle", "refloor", "scan", "reconcile", "hedge"])
      forgetWake(draft, `${wake} ${pool} ${attemptId}`);
    setWaiting(draft, pool, peerId, false);
  }
  forgetWake(draft, `rpcBlocked ${attemptId}`);
  for (const channel of live.blocked) forgetWake(draft, `stalled ${channel} ${attemptId}`);
  for (const { id } of live.rpc?.ours ?? []) {
    forgetWake(draft, `rpc ${id} ${attemptId}`);
  }
  keepResume(draft, peerId, live);
  noteAcquaintance(draft, peerId, live);
  updatePeer(draft, peerId, (peer) => {
    peer.live = null;
  });
  endRelaying(draft, peerId, live, context);
  endSeeking(draft, live, context);
  endListening(draft, live, context);
  context.propose({ type: "discovery/seek" });
  context.propose({ type: "exchange/givePermits" });
  for (const pool of POOL_NAMES) {
    for (const hash of unsettledOf(live.pools[pool])) withdraw(draft, peerId, hash, context);
  }
  for (const { purpose, body: request, abandoned } of live.rpc?.ours ?? []) {
    if (purpose === "sync" && !abandoned)
      context.propose({ type: "sync/answered", peerId, request, response: null });
  }
  context.propose({ type: "sync/peerLeft", peerId });
  const serving = live.streaming?.theirs?.id ?? null;
  context.propose({ type: "stream/peerLeft", peerId, attemptId, serving });
  if (live.probe !== null) {
    context.propose({ type: "admission/endProbe", attemptId: live.probe.attemptId, answered: false });
  }
  // A duplicate leaves another connection behind: its wake is declined as long as that one is live.
  if (!draft.stopping) {
    const banMs = Math.max(0, bannedUntil(draft, peerId) - draft.timeMs);
    redialAfterEnd(draft, peerId, live.sinceMs, Math.max(leastWaitMs, banMs));
    restAfterEnd(draft, attempt, live.sinceMs, ending.reason, leastWaitMs);
    lookSoon(draft);
  }
  context.dispatch({ type: "connection/ended", peerId, attemptId, ...ending });
}
