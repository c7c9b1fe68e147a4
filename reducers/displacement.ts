import { isLoopback, type Place } from "../core/address.ts";
import type { AttemptId } from "../core/ids.ts";
import { DISPLACED_AFTER_MS, HALF_OPEN_SPARE, RETRY_AFTER_MIN_S } from "../core/limits.ts";
import type { Attempt, State } from "../core/state.ts";
import { halfOpenOf } from "./admission-budgets.ts";
import { endAttempt, groupReached, isUnfinished, reply } from "./attempts.ts";
import type { Context, StateDraft } from "./rules.ts";

/**
 * Offers that are answered and then come to nothing hold slots that newcomers need. When few are left, somebody who would
 * be ready by now if he were honest gives way to a newcomer from a less crowded group of addresses: the oldest of the most
 * crowded group. So neither few groups with many each nor many with one each keep everybody else out (P25).
 */
export function displace(draft: StateDraft, newcomer: Newcomer, context: Context): boolean {
  const [first] = crowdOver(draft, newcomer)
    .filter(({ attempt }) => draft.timeMs >= attempt.startedMs + DISPLACED_AFTER_MS)
    .sort((a, b) => b.size - a.size || a.attempt.id - b.attempt.id);
  if (first === undefined) return false;
  const { attempt } = first;
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

/** The last HALF_OPEN_SPARE half-open connections are for groups that have none, or fewer than others. */
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
  /** What is counted to find the most crowded group: half-open connections, or all of them if slots are lacking. */
  readonly among: "halfOpen" | "all";
}

/** Somebody who may have to give way, and how many its group has. */
interface Crowded {
  readonly attempt: Attempt;
  readonly size: number;
}

/** Half-open connections of groups that are more crowded than the newcomer's; of all groups if that has none yet. */
function crowdOver({ attempts }: State, { group, id, among }: Newcomer): readonly Crowded[] {
  const incoming = [...attempts.values()].filter(
    (attempt) =>
      attempt.direction === "incoming" &&
      attempt.id !== id &&
      (among === "all" ? attempt.phase.tag !== "closing" : isUnfinished(attempt)),
  );
  const sizes = new Map<string, number>();
  const sizeOf = (of: string): number => sizes.get(of) ?? 0;
  for (const attempt of incoming) sizes.set(groupReached(attempt), sizeOf(groupReached(attempt)) + 1);
  // With the newcomer its own group must still be the smaller one, unless the newcomer is all that it has.
  const least = sizeOf(group) === 0 ? 1 : sizeOf(group) + 2;
  return incoming
    .filter(mayBeDisplaced)
    .map((attempt) => ({ attempt, size: sizeOf(groupReached(attempt)) }))
    .filter(({ size }) => size >= least);
}

/** An attempt in `probing` waits for the live connection's Pong; that wait has its own deadline. */
const mayBeDisplaced = (attempt: Attempt): boolean =>
  isUnfinished(attempt) && attempt.phase.tag !== "probing" && !isLoopback(attempt.remote?.address ?? "");
