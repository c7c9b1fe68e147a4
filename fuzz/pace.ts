import type { Effect } from "../core/effects.ts";
import type { Problems } from "./invariants.ts";

/** More than any worker or producer has to begin; each is a signature, a proof or a block. */
const BEGUN_PER_MINUTE_MAX = 1_000;
const MINUTE_MS = 60_000;
const BEGINNINGS: readonly Effect["type"][] = [
  "effect/signCommitment",
  "effect/makeSnark",
  "effect/produceBlock",
];

/**
 * What a node makes of its own accord has a pace: rules that begin something anew when it ends must not do so without
 * end, however little time each round takes.
 */
export function createPace(): (node: string, timeMs: number, effects: readonly Effect[]) => Problems {
  const counts = new Map<string, { readonly minute: number; begun: number }>();
  return (node, timeMs, effects) => {
    const begun = effects.filter(({ type }) => BEGINNINGS.includes(type)).length;
    if (begun === 0) return [];
    const minute = Math.floor(timeMs / MINUTE_MS);
    const known = counts.get(node);
    const now = known?.minute === minute ? known : { minute, begun: 0 };
    counts.set(node, now);
    now.begun += begun;
    return now.begun > BEGUN_PER_MINUTE_MAX
      ? [`begins proofs and blocks without end: ${now.begun} in a minute`]
      : [];
  };
}
