import { fail, update } from "../core/address-book.ts";
import type { PeerId } from "../core/ids.ts";
import {
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_MIN_MS,
  DIAL_BACKOFF_RESET_MS,
  DIAL_REFUSED_MS,
  DIAL_RETRIES_AT_ONCE,
} from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { LASTING_REJECTIONS, type Reason, type Rejection } from "../core/reasons.ts";
import { drawInt } from "../core/rng.ts";
import type { Attempt, State, Target } from "../core/state.ts";
import type { Context, StateDraft } from "./rules.ts";
import { livePeer, wakeAt } from "./state.ts";

/** When an address that the operator wants connected is dialed again (3.3). */

/** The peers that the operator wants connected, by whichever way they are. */
export const operatorsPeers = ({ targets }: State): ReadonlySet<PeerId> =>
  new Set([...targets.values()].map(({ address }) => address.peerId));

export interface Failure {
  readonly attempt: Attempt;
  readonly rejection: Rejection | null;
  readonly retryAfterMs: number;
}

/** After a failed dial: exponential with jitter, at least as long as the listener asked for. */
export function backOff(draft: StateDraft, address: DialAddress, failure: Failure, context: Context): void {
  if (draft.stopping) return;
  const key = formatMultiaddr(address);
  const target = draft.targets.get(key);
  const isProven = provesAddress(draft, failure);
  // It was dialed to see whether it is right, and it is.
  if (isProven && (target === undefined || failure.attempt.isVerification)) return;
  if (target === undefined) {
    restAfterFailure(draft, key, failure);
    return;
  }
  // A transport that fails between the signals and ready has lost a race inside the library: dial again at once.
  const { phase, hasTransport } = failure.attempt;
  const lostRace = phase.tag === "connecting" && !hasTransport;
  if (
    lostRace &&
    target.retries < DIAL_RETRIES_AT_ONCE &&
    draft.timeMs < failure.attempt.startedMs + DIAL_BACKOFF_MIN_MS
  ) {
    draft.targets = draft.targets.set(key, { ...target, retries: target.retries + 1, nextMs: draft.timeMs });
    context.propose({ type: "dial/start", address: key });
    return;
  }
  const failures = target.failures + 1;
  const waitMs = waitAfter(draft, failure, failures);
  if (!isProven)
    draft.book = { ...draft.book, addresses: fail(draft.book.addresses, key, draft.timeMs + waitMs) };
  redialAfter(draft, key, { ...target, failures, retries: 0 }, waitMs);
}

/** Our peer has signed at this address that we are connected with it. */
const provesAddress = (state: State, { attempt: { peerId }, rejection }: Failure): boolean =>
  rejection === "alreadyConnected" && peerId !== null && livePeer(state, peerId) !== undefined;

/** The same for an address of the book, as often as it has failed. */
function restAfterFailure(draft: StateDraft, key: string, failure: Failure): void {
  const entry = draft.book.addresses.entries.get(key);
  if (entry === undefined) return;
  const nextMs = draft.timeMs + waitAfter(draft, failure, entry.failures + 1);
  draft.book = { ...draft.book, addresses: fail(draft.book.addresses, key, nextMs) };
}

function waitAfter(draft: StateDraft, { rejection, retryAfterMs }: Failure, failures: number): number {
  const isLasting = rejection !== null && LASTING_REJECTIONS.includes(rejection);
  return isLasting ? DIAL_REFUSED_MS : Math.max(retryAfterMs, jittered(draft, failures));
}

/** After a connection ended: one that lasted a minute starts the back-off anew. */
export function redialAfterEnd(
  draft: StateDraft,
  peerId: string,
  sinceMs: number,
  leastWaitMs: number,
): void {
  for (const [key, target] of draft.targets.entries()) {
    if (target.address.peerId !== peerId) continue;
    const failures = draft.timeMs - sinceMs >= DIAL_BACKOFF_RESET_MS ? 1 : target.failures + 1;
    redialAfter(
      draft,
      key,
      { ...target, failures, retries: 0 },
      Math.max(leastWaitMs, jittered(draft, failures)),
    );
  }
}

/** Back-off of an address of the book after its connection ended; a long one if either side sent the other away. */
export function restAfterEnd(
  draft: StateDraft,
  { target }: Attempt,
  sinceMs: number,
  reason: Reason,
  leastWaitMs: number,
): void {
  const key = target === null ? "" : formatMultiaddr(target);
  const entry = draft.book.addresses.entries.get(key);
  if (entry === undefined || reason === "duplicate" || draft.targets.has(key)) return;
  const { addresses } = draft.book;
  const isLasting = PARTED.includes(reason);
  if (isLasting || draft.timeMs - sinceMs >= DIAL_BACKOFF_RESET_MS) {
    const waitMs = Math.max(leastWaitMs, isLasting ? DIAL_REFUSED_MS : jittered(draft, 1));
    const changes = { successMs: draft.timeMs, nextMs: draft.timeMs + waitMs };
    draft.book = { ...draft.book, addresses: update(addresses, key, changes) };
  } else {
    const waitMs = Math.max(leastWaitMs, jittered(draft, entry.failures + 1));
    draft.book = { ...draft.book, addresses: fail(addresses, key, draft.timeMs + waitMs) };
  }
}

const PARTED: readonly Reason[] = ["capacity", "operator", "useless"];

export function redialAfter(draft: StateDraft, key: string, target: Target, waitMs: number): void {
  const nextMs = draft.timeMs + waitMs;
  draft.targets = draft.targets.set(key, { ...target, nextMs });
  wakeAt(draft, `dial ${key}`, nextMs, { type: "dial/start", address: key });
}

/** 1 s doubling to 10 min; the second half of each step is random, so that nodes do not dial in step. */
function jittered(draft: StateDraft, failures: number): number {
  const fullMs = Math.min(DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS * 2 ** Math.min(failures - 1, 20));
  return fullMs / 2 + drawInt(draft, fullMs / 2);
}
