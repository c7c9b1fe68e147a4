import { type Place, reachOf } from "../core/address.ts";
import { FOREVER_MS } from "../core/bans.ts";
import type { PeerId } from "../core/ids.ts";
import {
  ACQUAINTED_AFTER_MS,
  ACQUAINTED_MAX,
  BAN_MS,
  GROUP_BAN_MS,
  GROUP_OFFENDERS_MAX,
  GROUP_WINDOW_MS,
  GROUPS_MAX,
  OFFENDERS_MAX,
  STRIKES_MAX,
  STRIKES_REST_MS,
  STRIKES_WINDOW_MS,
} from "../core/limits.ts";
import { type Reason, severity } from "../core/reasons.ts";
import type { SortedMap } from "../core/sorted-map.ts";
import type { Attempt, LivePeer, Offender, OffendingGroup, State } from "../core/state.ts";
import type { StateDraft } from "./rules.ts";
import { livePeer } from "./state.ts";
import { operatorsPeers } from "./targets.ts";

const INNOCENT: Offender = { bannedUntilMs: 0, bannedFor: null, restUntilMs: 0, strikesMs: [] };
const INNOCENT_GROUP: OffendingGroup = { bannedUntilMs: 0, bannedFor: null, violations: [] };

/**
 * Violations ban the key, unreliable behaviour is a strike, three strikes are a rest (section 5).
 *
 * @param selected where the transport has found the peer, which no SDP can claim; null: not known
 */
export function punish(draft: StateDraft, peerId: PeerId, reason: Reason, selected: Place | null): void {
  const known = draft.offenders.get(peerId) ?? INNOCENT;
  switch (severity(reason)) {
    case "neutral":
      return;
    case "violation":
      // A ban runs from the violation: the connections that end because of it do not prolong it.
      if (bannedUntil(draft, peerId) === 0) banKey(draft, peerId, draft.timeMs + BAN_MS, reason);
      if (selected !== null) blameGroup(draft, peerId, selected, reason);
      return;
    case "unreliable": {
      const recent = known.strikesMs.filter((atMs) => atMs > draft.timeMs - STRIKES_WINDOW_MS);
      const strikesMs = [...recent, draft.timeMs];
      const rests = strikesMs.length >= STRIKES_MAX;
      remember(draft, peerId, {
        ...known,
        strikesMs: rests ? [] : strikesMs,
        restUntilMs: rests ? draft.timeMs + STRIKES_REST_MS : known.restUntilMs,
      });
    }
  }
}

/** Until when a key is banned; 0 if it is not. */
export const bannedUntil = (state: State, peerId: PeerId): number => running(state, peerId, "bannedUntilMs");

/** Until when a key is neither dialed nor admitted because of its strikes; 0 if it may be. */
export const restsUntil = (state: State, peerId: PeerId): number => running(state, peerId, "restUntilMs");

/** Until when the operator shuts out an address group, for every key and both directions; 0 if not. */
export function closedUntil(state: State, group: string): number {
  const known = state.groups.get(group) ?? INNOCENT_GROUP;
  return isOfOperator(known, state.timeMs) ? known.bannedUntilMs : 0;
}

/** Until when a key is not admitted because of the address group it comes from; 0 if it may be. */
export function shutOutUntil(state: State, group: string, peerId: PeerId): number {
  const { bannedUntilMs, bannedFor } = state.groups.get(group) ?? INNOCENT_GROUP;
  if (bannedUntilMs <= state.timeMs) return 0;
  return bannedFor === "operator" || !isAcquainted(state, peerId) ? bannedUntilMs : 0;
}

/** Why a connection must not become ready: a ban that came, or an address that was found, after it was let in. */
export function shutOutBy(
  state: State,
  { direction, selected }: Attempt,
  peerId: PeerId,
): { readonly reason: Reason; readonly detail: string } | null {
  if (bannedUntil(state, peerId) > 0)
    return { reason: state.offenders.get(peerId)?.bannedFor ?? "operator", detail: "the key is banned" };
  const group = selected?.group ?? "";
  const detail = `the address group ${group} is banned`;
  if (closedUntil(state, group) > 0) return { reason: "operator", detail };
  const isExempt = direction === "outgoing" && operatorsPeers(state).has(peerId);
  const isShutOut = !isExempt && shutOutUntil(state, group, peerId) > 0;
  return isShutOut ? { reason: "capacity", detail } : null;
}

/** A connection has ended. A key that was ready for long is exempt from what others of its group do. */
export function noteAcquaintance(draft: StateDraft, peerId: PeerId, { sinceMs }: LivePeer): void {
  if (draft.timeMs - sinceMs < ACQUAINTED_AFTER_MS || bannedUntil(draft, peerId) > 0) return;
  const acquainted = draft.acquainted.set(peerId, draft.timeMs);
  draft.acquainted = bounded(acquainted, ACQUAINTED_MAX, (leftMs) => leftMs);
}

/** Replaces whatever ban there was. */
export function banKey(draft: StateDraft, peerId: PeerId, untilMs: number, reason: Reason): void {
  const known = draft.offenders.get(peerId) ?? INNOCENT;
  draft.acquainted = draft.acquainted.delete(peerId);
  remember(draft, peerId, { ...known, bannedUntilMs: untilMs, bannedFor: reason });
}

/** Ends the ban of a key. Its strikes remain. */
export function pardon(draft: StateDraft, peerId: PeerId): void {
  const known = draft.offenders.get(peerId) ?? INNOCENT;
  const isClean = known.strikesMs.length === 0 && known.restUntilMs <= draft.timeMs;
  draft.offenders = isClean
    ? draft.offenders.delete(peerId)
    : draft.offenders.set(peerId, { ...known, bannedUntilMs: 0, bannedFor: null });
}

export function banGroup(draft: StateDraft, group: string, untilMs: number, reason: Reason): void {
  rememberGroup(draft, group, { bannedUntilMs: untilMs, bannedFor: reason, violations: [] });
}

const isAcquainted = (state: State, peerId: PeerId): boolean =>
  livePeer(state, peerId) !== undefined || state.acquainted.has(peerId);

function running(state: State, peerId: PeerId, field: "bannedUntilMs" | "restUntilMs"): number {
  const untilMs = state.offenders.get(peerId)?.[field] ?? 0;
  return untilMs > state.timeMs ? untilMs : 0;
}

/** Who is banned could come back with another key: a group that has had three of them takes no new ones for a while. */
function blameGroup(draft: StateDraft, peerId: PeerId, { address, group }: Place, reason: Reason): void {
  if (reachOf(address) !== "public") return;
  const known = draft.groups.get(group) ?? INNOCENT_GROUP;
  const others = known.violations.filter(
    (one) => one.peerId !== peerId && one.atMs > draft.timeMs - GROUP_WINDOW_MS,
  );
  const violations = [...others, { peerId, atMs: draft.timeMs }];
  const untilMs = draft.timeMs + GROUP_BAN_MS;
  if (violations.length < GROUP_OFFENDERS_MAX) rememberGroup(draft, group, { ...known, violations });
  else if (known.bannedUntilMs < untilMs) banGroup(draft, group, untilMs, reason);
}

function remember(draft: StateDraft, peerId: PeerId, offender: Offender): void {
  const endsMs = (one: Offender): number =>
    isOfOperator(one, draft.timeMs)
      ? FOREVER_MS
      : Math.max(one.bannedUntilMs, one.restUntilMs, one.strikesMs.at(-1) ?? 0);
  draft.offenders = bounded(draft.offenders.set(peerId, offender), OFFENDERS_MAX, endsMs);
}

function rememberGroup(draft: StateDraft, group: string, offending: OffendingGroup): void {
  const endsMs = (one: OffendingGroup): number =>
    isOfOperator(one, draft.timeMs)
      ? FOREVER_MS
      : Math.max(one.bannedUntilMs, one.violations.at(-1)?.atMs ?? 0);
  draft.groups = bounded(draft.groups.set(group, offending), GROUPS_MAX, endsMs);
}

const isOfOperator = (
  { bannedUntilMs, bannedFor }: Pick<Offender, "bannedUntilMs" | "bannedFor">,
  timeMs: number,
): boolean => bannedFor === "operator" && bannedUntilMs > timeMs;

/** Beyond the bound the entry that ends first makes room; what the operator said stays. */
function bounded<K extends string, V>(
  table: SortedMap<K, V>,
  most: number,
  endsMs: (entry: V) => number,
): SortedMap<K, V> {
  if (table.size <= most) return table;
  let first: readonly [K, V] | undefined;
  for (const entry of table.entries()) {
    if (first === undefined || endsMs(entry[1]) < endsMs(first[1])) first = entry;
  }
  return first === undefined ? table : table.delete(first[0]);
}
