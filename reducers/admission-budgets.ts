import { isLoopback, type Place } from "../core/address.ts";
import type { PeerId } from "../core/ids.ts";
import {
  ADMISSION_BUCKETS_MAX,
  ADMISSION_QUIET_MS,
  ADMISSION_QUIET_SHARE,
  EVICTION_SLOTS_MIN,
  OUTGOING_RESERVE,
  RETRY_AFTER_MAX_S,
  RETRY_AFTER_MIN_S,
} from "../core/limits.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { Attempt, State } from "../core/state.ts";
import { isChosen } from "./attempts.ts";
import { refill, spend } from "./buckets.ts";
import type { StateDraft } from "./rules.ts";

/** The budgets of admission (3.2): tokens per address, half-open connections, slots. */

/** Slots that only our own dials may use: a quarter of few. */
export const outgoingReserve = (peersMax: number): number =>
  Math.min(OUTGOING_RESERVE, Math.floor(peersMax / 4));

/** A newcomer with the key of a live peer, or of one being dialed, uses that one's slot (3.3). */
export function hasRoom(state: State, peerId: PeerId): boolean {
  return state.peers.has(peerId) || hasRoomForStrangers(state);
}

export const hasRoomForStrangers = (state: State): boolean => roomForStrangers(state) > 0;

/**
 * Slots usable for peers that relays name. Where a full node evicts, the last slot is left for incoming peers: filling
 * it ourselves would evict somebody merely to ask for another.
 */
export const roomForNamed = (state: State): number =>
  roomForStrangers(state) - (incomingMax(state) < EVICTION_SLOTS_MIN ? 0 : 1);

function roomForStrangers(state: State): number {
  const { peers, config } = state;
  let strangers = 0;
  for (const peer of peers.values()) if (!isChosen(state, peer)) strangers += 1;
  return Math.min(config.peersMax - peers.size, incomingMax(state) - strangers);
}

/** Slots for incoming peers and those that relays name; the rest is for our own dials. */
export const incomingMax = ({ config: { peersMax } }: Pick<State, "config">): number =>
  peersMax - outgoingReserve(peersMax);

/**
 * Takes a token of each bucket in turn. A refused request leaves nothing of an address that had no bucket yet, its group
 * pays for it: else one group could ask from so many addresses that the buckets of all others are forgotten.
 * @returns seconds to wait, 0 if the request may go on
 */
export function takeTokens(draft: StateDraft, { address, group }: Place): number {
  const { ip, group: groupLimit, global } = draft.config.admission;
  const limits = isLoopback(address)
    ? ([[address, ip]] as const)
    : ([
        [address, ip],
        [group, groupLimit],
      ] as const);
  const before = draft.admission.buckets;
  let buckets = before;
  let waitS = 0;
  const lastMs = buckets.get(isLoopback(address) ? address : group)?.atMs ?? Number.NEGATIVE_INFINITY;
  // A flood that uses up what all groups share must not shut out those who come for the first time.
  const keptFree = draft.timeMs < lastMs + ADMISSION_QUIET_MS ? global.burst * ADMISSION_QUIET_SHARE : 0;
  for (const [key, bucket] of limits) {
    const spent = spend(refill(buckets.get(key), bucket, draft.timeMs), bucket);
    buckets = buckets.set(key, spent.budget);
    waitS = Math.max(waitS, spent.waitS);
    if (waitS > 0) break;
  }
  let globalBudget = draft.admission.global;
  if (waitS === 0) {
    globalBudget = refill(globalBudget, global, draft.timeMs);
    const lacking = keptFree + 1 - globalBudget.tokens;
    if (keptFree > 0 && lacking > 0) waitS = lacking / global.perSecond;
    else ({ budget: globalBudget, waitS } = spend(globalBudget, global));
  }
  if (waitS > 0 && !before.has(address)) buckets = buckets.delete(address);
  draft.admission = { ...draft.admission, buckets: bounded(buckets), global: globalBudget };
  return waitS;
}

/**
 * A full table forgets the half of its buckets that were used longest ago: they have refilled the most. Half of it at
 * once, so that a flood from many addresses does not pay for the whole table with each request.
 */
function bounded(buckets: State["admission"]["buckets"]): State["admission"]["buckets"] {
  if (buckets.size <= ADMISSION_BUCKETS_MAX) return buckets;
  const newestFirst = [...buckets.entries()].sort(([, a], [, b]) => b.atMs - a.atMs);
  return SortedMap.from(newestFirst.slice(0, ADMISSION_BUCKETS_MAX / 2));
}

export const retryAfter = (waitS: number): number =>
  Math.min(RETRY_AFTER_MAX_S, Math.max(RETRY_AFTER_MIN_S, Math.ceil(waitS)));

/** Attempts of others that are not ready yet, those being closed included: each may hold a connection object. */
export const halfOpenOf = ({ attempts }: State): readonly Attempt[] =>
  [...attempts.values()].filter(({ direction, phase }) => direction === "incoming" && phase.tag !== "ready");

export function isHalfOpenFull(state: State, { address, group }: Place): boolean {
  const { halfOpenMax, halfOpenPerGroupMax } = state.config.admission;
  const halfOpen = halfOpenOf(state);
  const ofGroup = halfOpen.filter(({ remote }) => remote?.group === group).length;
  return halfOpen.length >= halfOpenMax || (ofGroup >= halfOpenPerGroupMax && !isLoopback(address));
}
