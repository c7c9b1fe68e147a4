import { isLoopback, type Place } from "../core/address.ts";
import type { AttemptId } from "../core/ids.ts";
import { DISPLACED_AFTER_MS, HALF_OPEN_SPARE, RETRY_AFTER_MIN_S } from "../core/limits.ts";
import type { Attempt, State } from "../core/state.ts";
import { halfOpenOf } from "./admission-budgets.ts";
import { endAttempt, groupReached, isUnfinished, reply } from "./attempts.ts";
import type { Context, StateDraft } from "./rules.ts";

/**
 * Offers that are answered and then come to nothing hold what newcomers need. When there is little left of it, the
 * oldest connection that is being set up from the most crowded group of addresses gives way to who comes from a group
 * with fewer: so whoever owns few groups cannot keep everybody else out (P25).
 */
export function displace(draft: StateDraft, newcomer: Newcomer, context: Context): boolean {
  const attempt = crowdOver(draft, newcomer).find(
    ({ startedMs }) => draft.timeMs >= startedMs + DISPLACED_AFTER_MS,
  );
  if (attempt === undefined) return false;
  const ending = {
    reason: "capacity",
    by: "us",
    detail: "gives way to a less crowded group of addresses",
  } as const;
  reply(draft, attempt, { tag: "unavailable", retryAfterS: RETRY_AFTER_MIN_S }, context);
  context.dispatch({ type: "attempt/ended", attemptId: attempt.id, peerId: attempt.peerId, ...ending });
  endAttempt(draft, attempt, context);
  return true;
}

/** What is left when half-open connections are nearly as many as may be is for groups that have none, or fewer. */
export function isCrowdedOut(draft: StateDraft, { address, group }: Place, context: Context): boolean {
  const isNearlyFull = halfOpenOf(draft).length >= draft.config.admission.halfOpenMax - HALF_OPEN_SPARE;
  if (!isNearlyFull || isLoopback(address)) return false;
  const newcomer = { group, id: null, among: "halfOpen" } as const;
  if (displace(draft, newcomer, context) || crowdOver(draft, newcomer).length > 0) return false;
  return [...draft.attempts.values()].some(
    (attempt) => attempt.direction === "incoming" && isUnfinished(attempt) && groupReached(attempt) === group,
  );
}

/** Who needs what others hold. */
export interface Newcomer {
  readonly group: string;
  /** Its attempt, if there is one. */
  readonly id: AttemptId | null;
  /** How crowded a group is, is counted among half-open connections, or among all where it is slots that are lacking. */
  readonly among: "halfOpen" | "all";
}

/** Half-open connections of the most crowded group, the oldest first; none if the newcomer's is nearly as crowded. */
function crowdOver({ attempts }: State, { group, id, among }: Newcomer): readonly Attempt[] {
  const incoming = [...attempts.values()].filter(
    (attempt) =>
      attempt.direction === "incoming" &&
      attempt.id !== id &&
      (among === "all" ? attempt.phase.tag !== "closing" : isUnfinished(attempt)),
  );
  const sizes = new Map<string, number>();
  for (const attempt of incoming)
    sizes.set(groupReached(attempt), (sizes.get(groupReached(attempt)) ?? 0) + 1);
  // With the newcomer its own group must still be the smaller one.
  const least = (sizes.get(group) ?? 0) + 2;
  const others = incoming.filter(
    (attempt) => (sizes.get(groupReached(attempt)) ?? 0) >= least && mayBeDisplaced(attempt),
  );
  const most = Math.max(...others.map((attempt) => sizes.get(groupReached(attempt)) ?? 0));
  return others.filter((attempt) => sizes.get(groupReached(attempt)) === most);
}

/** Of a key that is connected the live connection is being asked meanwhile: that has its own end. */
const mayBeDisplaced = (attempt: Attempt): boolean =>
  isUnfinished(attempt) && attempt.phase.tag !== "probing" && !isLoopback(attempt.remote?.address ?? "");
