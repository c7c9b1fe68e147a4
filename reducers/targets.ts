import {
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_MIN_MS,
  DIAL_BACKOFF_RESET_MS,
  DIAL_REFUSED_MS,
  DIAL_RETRIES_AT_ONCE,
} from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { LASTING_REJECTIONS, type Rejection } from "../core/reasons.ts";
import { drawInt } from "../core/rng.ts";
import type { Attempt, Target } from "../core/state.ts";
import type { Context, StateDraft } from "./rules.ts";
import { wakeAt } from "./state.ts";

/** When an address that the operator wants connected is dialed again (3.3). */

export interface Failure {
  readonly attempt: Attempt;
  readonly rejection: Rejection | null;
  readonly retryAfterMs: number;
}

/** After a failed dial: exponential with jitter, at least as long as the listener asked for. */
export function backOff(draft: StateDraft, address: DialAddress, failure: Failure, context: Context): void {
  const key = formatMultiaddr(address);
  const target = draft.targets.get(key);
  if (target === undefined || draft.stopping) return;
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
  const isLasting = failure.rejection !== null && LASTING_REJECTIONS.includes(failure.rejection);
  const failures = target.failures + 1;
  const waitMs = isLasting ? DIAL_REFUSED_MS : Math.max(failure.retryAfterMs, jittered(draft, failures));
  redialAfter(draft, key, { ...target, failures, retries: 0 }, waitMs);
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
