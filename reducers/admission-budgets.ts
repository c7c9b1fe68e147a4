import { isLoopback } from "../core/address.ts";
import type { Budget } from "../core/channels/control.ts";
import type { PeerId } from "../core/ids.ts";
import {
  ADMISSION_BUCKETS_MAX,
  OUTGOING_RESERVE,
  RETRY_AFTER_MAX_S,
  RETRY_AFTER_MIN_S,
} from "../core/limits.ts";
import type { State } from "../core/state.ts";
import { refill, spend } from "./buckets.ts";
import type { StateDraft } from "./rules.ts";

/** The budgets of admission (3.2): tokens per address, half-open connections, slots. */

/** A newcomer with the key of a live peer, or of one being dialed, uses that one's slot (3.3). */
export function hasRoom(state: State, peerId: PeerId): boolean {
  if (state.peers.has(peerId)) return true;
  let incoming = 0;
  for (const { live, dialing } of state.peers.values()) {
    if (dialing === null && live?.direction !== "outgoing") incoming += 1;
  }
  return state.peers.size < state.config.peersMax && incoming < incomingMax(state);
}

/** Slots for who dials us: the others are for our own dials. */
export const incomingMax = ({ config: { peersMax } }: State): number =>
  peersMax - Math.min(OUTGOING_RESERVE, Math.floor(peersMax / 4));

/** Takes a token of each bucket in turn. @returns seconds to wait, 0 if the request may go on */
export function takeTokens(draft: StateDraft, address: string, group: string): number {
  const { ip, group: groupLimit, global } = draft.config.admission;
  const limits = isLoopback(address)
    ? ([[address, ip]] as const)
    : ([
        [address, ip],
        [group, groupLimit],
      ] as const);
  let { buckets } = draft.admission;
  let waitS = 0;
  for (const [key, bucket] of limits) {
    const spent = spend(refill(buckets.get(key), bucket, draft.timeMs), bucket);
    buckets = buckets.set(key, spent.budget);
    waitS = Math.max(waitS, spent.waitS);
    if (waitS > 0) break;
  }
  let globalBudget = draft.admission.global;
  if (waitS === 0) {
    const spent = spend(refill(globalBudget, global, draft.timeMs), global);
    globalBudget = spent.budget;
    waitS = spent.waitS;
  }
  draft.admission = { ...draft.admission, buckets: bounded(buckets), global: globalBudget };
  return waitS;
}

/** A full table forgets the buckets that were used longest ago: they have refilled the most. */
function bounded(buckets: State["admission"]["buckets"]): State["admission"]["buckets"] {
  let kept = buckets;
  while (kept.size > ADMISSION_BUCKETS_MAX) {
    let oldest: readonly [string, Budget] | undefined;
    for (const entry of kept.entries()) {
      if (oldest === undefined || entry[1].atMs < oldest[1].atMs) oldest = entry;
    }
    if (oldest !== undefined) kept = kept.delete(oldest[0]);
  }
  return kept;
}

export const retryAfter = (waitS: number): number =>
  Math.min(RETRY_AFTER_MAX_S, Math.max(RETRY_AFTER_MIN_S, Math.ceil(waitS)));

/** Attempts of others that are not ready yet, those being closed included: each may hold a connection object. */
export function isHalfOpenFull(state: State, address: string, group: string): boolean {
  const { halfOpenMax, halfOpenPerGroupMax } = state.config.admission;
  let [all, ofGroup] = [0, 0];
  for (const { direction, phase, remote } of state.attempts.values()) {
    if (direction !== "incoming" || phase.tag === "ready") continue;
    all += 1;
    if (remote?.group === group) ofGroup += 1;
  }
  return all >= halfOpenMax || (ofGroup >= halfOpenPerGroupMax && !isLoopback(address));
}
