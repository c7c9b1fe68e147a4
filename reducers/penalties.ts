import type { PeerId } from "../core/ids.ts";
import { BAN_MS, OFFENDERS_MAX, STRIKES_MAX, STRIKES_REST_MS, STRIKES_WINDOW_MS } from "../core/limits.ts";
import { type Reason, severity } from "../core/reasons.ts";
import type { Offender, State } from "../core/state.ts";
import type { StateDraft } from "./rules.ts";

const INNOCENT: Offender = { bannedUntilMs: 0, restUntilMs: 0, strikesMs: [] };

/** Violations ban the key, unreliable behaviour is a strike, three strikes are a rest (section 5). */
export function punish(draft: StateDraft, peerId: PeerId, reason: Reason): void {
  const known = draft.offenders.get(peerId) ?? INNOCENT;
  switch (severity(reason)) {
    case "neutral":
      return;
    case "violation":
      remember(draft, peerId, { ...known, bannedUntilMs: draft.timeMs + BAN_MS });
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

function running(state: State, peerId: PeerId, field: "bannedUntilMs" | "restUntilMs"): number {
  const untilMs = state.offenders.get(peerId)?.[field] ?? 0;
  return untilMs > state.timeMs ? untilMs : 0;
}

/** The table is bounded: beyond it the entry that ends first makes room. */
function remember(draft: StateDraft, peerId: PeerId, offender: Offender): void {
  let offenders = draft.offenders.set(peerId, offender);
  if (offenders.size > OFFENDERS_MAX) {
    let [first, firstMs] = [peerId, Number.POSITIVE_INFINITY];
    for (const [key, other] of offenders.entries()) {
      const endsMs = Math.max(other.bannedUntilMs, other.restUntilMs, other.strikesMs.at(-1) ?? 0);
      if (endsMs < firstMs) [first, firstMs] = [key, endsMs];
    }
    offenders = offenders.delete(first);
  }
  draft.offenders = offenders;
}
