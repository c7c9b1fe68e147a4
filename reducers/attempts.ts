import type { SignalAction } from "../core/actions.ts";
import { isLocalAddress, type Place } from "../core/address.ts";
import type { AttemptId, PeerId } from "../core/ids.ts";
import { ATTEMPT_TIMEOUT_MS, RETRY_AFTER_MIN_S } from "../core/limits.ts";
import type { Reason } from "../core/reasons.ts";
import type { SignalReply } from "../core/services.ts";
import type { Attempt, Peer, State } from "../core/state.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { attemptOf, forgetWake, updateAttempt, updatePeer, wakeAt } from "./state.ts";
import { backOff } from "./targets.ts";

/** The life of an attempt that both directions share: its start, its one deadline, its end. */

export const attempts: Rules<Extract<SignalAction, { type: `attempt/${string}` }>> = {
  "attempt/fail": {
    enabled: (state, { attemptId }) => isUnfinished(state.attempts.get(attemptId)),
    reduce: (draft, { attemptId, rejection, retryAfterMs }, context) => {
      const attempt = attemptOf(draft, attemptId);
      reply(draft, attempt, { tag: "unavailable", retryAfterS: RETRY_AFTER_MIN_S }, context);
      endAttempt(draft, attempt, context);
      if (attempt.target !== null)
        backOff(draft, attempt.target, { attempt, rejection, retryAfterMs }, context);
    },
  },
  "attempt/ended": {
    enabled: () => true,
    // Only for the log: the state has been changed already.
    reduce: () => {},
  },
  "attempt/expire": {
    enabled: (state, { attemptId }) => isUnfinished(state.attempts.get(attemptId)),
    reduce: (_draft, { attemptId }, context) => {
      abandon(attemptId, "timeout", `not ready within ${ATTEMPT_TIMEOUT_MS} ms`, context);
    },
  },
};

/** Answers the offer, over HTTP or by the relay it came by: a relay is told of nothing but a sealed reply. */
export function reply(
  draft: StateDraft,
  attempt: Attempt,
  signal: SignalReply,
  { effect, propose }: Context,
): void {
  const { id, requestId, via, direction } = attempt;
  if (requestId !== null) effect({ type: "effect/replySignal", requestId, reply: signal });
  if (via === null || direction === "outgoing") return;
  const envelope = signal.tag === "envelope" ? signal.envelope : null;
  propose({ type: "exchange/answer", peerId: via.peerId, answering: id, reply: envelope });
  updateAttempt(draft, id, (answered) => {
    answered.via = null;
  });
}

/** Where the other side is: as the transport has found it, or before that as its signals came. */
export const placeReached = ({ selected, remote }: Pick<Attempt, "selected" | "remote">): Place =>
  selected ?? remote ?? NOWHERE;

const NOWHERE: Place = { address: "", group: "" };

export const groupReached = (attempt: Pick<Attempt, "selected" | "remote">): string =>
  placeReached(attempt).group;

/**
 * Dialed at an address, by our choice or our operator's. Who was named by a relay was chosen by the relay, like anybody
 * who dials us: it must not take what is kept for our own choice (P25).
 */
export function isChosen({ attempts }: State, { live, dialing }: Peer): boolean {
  const attemptId = live?.attemptId ?? dialing;
  const attempt = attemptId === null ? undefined : attempts.get(attemptId);
  return attempt?.target != null && !attempt.isVerification;
}

/** Still on its way to ready. */
export const isUnfinished = (attempt: Attempt | undefined): boolean =>
  attempt !== undefined && attempt.phase.tag !== "ready" && attempt.phase.tag !== "closing";

/** Starts an attempt under a number that was never used, with the one deadline it has until ready (3.3). */
export function startAttempt(
  draft: StateDraft,
  start: Pick<
    Attempt,
    "direction" | "phase" | "peerId" | "target" | "remote" | "requestId" | "via" | "nonce"
  >,
): AttemptId {
  const id = draft.nextAttemptId as AttemptId;
  draft.nextAttemptId += 1;
  draft.attempts = draft.attempts.set(id, {
    ...start,
    id,
    startedMs: draft.timeMs,
    listen: null,
    issuedAtMs: 0,
    offerHash: "",
    session: "",
    fingerprint: "",
    isVerification: false,
    hasTransport: false,
    connected: false,
    selected: null,
    opened: [],
    hello: null,
    early: [],
  });
  wakeAt(draft, `attempt ${id}`, draft.timeMs + ATTEMPT_TIMEOUT_MS, {
    type: "attempt/expire",
    attemptId: id,
  });
  return id;
}

/** We give up an attempt that is not ready, with a Goodbye if the peer can already hear one (section 4). */
export function abandon(attemptId: AttemptId, reason: Reason, detail: string, { propose }: Context): void {
  propose({ type: "connection/disconnect", attemptId, reason, detail });
  propose({ type: "attempt/fail", attemptId, detail, rejection: null, retryAfterMs: 0 });
}

/** Releases what an attempt holds. One with a transport stays as `closing` until its last event. */
export function endAttempt(draft: StateDraft, attempt: Attempt, context: Context): void {
  forgetAttemptWakes(draft, attempt.id);
  const { via, direction, id: offering } = attempt;
  if (via !== null && direction === "outgoing")
    context.propose({ type: "discovery/withdraw", peerId: via.peerId, offering });
  context.propose({ type: "discovery/seek" });
  context.propose({ type: "exchange/givePermits" });
  releaseSlot(draft, attempt);
  if (attempt.hasTransport) {
    updateAttempt(draft, attempt.id, (closing) => {
      closing.phase = { tag: "closing" };
      closing.requestId = null;
      closing.via = null;
      closing.early = [];
    });
    context.effect({ type: "effect/close", attemptId: attempt.id, graceful: false });
  } else {
    draft.attempts = draft.attempts.delete(attempt.id);
  }
}

export function forgetAttemptWakes(draft: StateDraft, attemptId: AttemptId): void {
  for (const name of ["attempt", "probe", "candidates", "cut"]) forgetWake(draft, `${name} ${attemptId}`);
}

/** Loopback and private candidates are used only with peers that are local themselves, or if the operator says so. */
export const mayBeLocal = ({ config }: State, { remote }: Attempt): boolean =>
  config.allowPrivateCandidates || isLocalAddress(remote?.address ?? "");

/** A key holds one slot, however many of its connections are being set up or compared. */
export function holdSlot(
  draft: StateDraft,
  peerId: PeerId,
  role: "dialing" | "answering",
  attemptId: AttemptId,
): void {
  if (!draft.peers.has(peerId)) {
    draft.peers = draft.peers.set(peerId, { peerId, dialing: null, answering: null, live: null });
  }
  updatePeer(draft, peerId, (peer) => {
    peer[role] = attemptId;
  });
}

export function releaseSlot(draft: StateDraft, { id, peerId }: Pick<Attempt, "id" | "peerId">): void {
  if (peerId === null) return;
  updatePeer(draft, peerId, (peer) => {
    if (peer.dialing === id) peer.dialing = null;
    if (peer.answering === id) peer.answering = null;
    if (peer.live?.attemptId === id) peer.live = null;
    if (peer.live?.probe?.attemptId === id) peer.live = { ...peer.live, probe: null };
  });
  const peer = draft.peers.get(peerId);
  if (peer !== undefined && peer.dialing === null && peer.answering === null && peer.live === null) {
    draft.peers = draft.peers.delete(peerId);
  }
}
