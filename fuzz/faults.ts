import fc, { type Arbitrary } from "fast-check";
import { DEFAULT_LINK, type LinkOptions } from "./sim-host.ts";

/**
 * What goes wrong in a run. Each fault is on or off and of its own strength: a run in which everything is broken at once
 * reaches less than many runs of which each breaks something else.
 */
export const FAULTS = {
  cut: "links break, and both ends are told at once or late",
  stall: "nothing arrives for a while, in one direction or in both",
  slow: "links of low bandwidth, so that transports buffer and block",
  far: "long latencies and jitter",
  busy: "machines with slow proofs, signatures and disks",
  ice: "ICE checks that never reach the other side",
  http: "signaling requests that are late or lost",
  dials: "the same peers dialed again, and by both at once",
  freeze: "processes that are suspended and resumed",
  restart: "processes that are killed and restarted",
  crash: "processes that die between any two effects and are restarted",
  skew: "clocks that are ahead of each other",
  leap: "clocks that jump ahead",
  reorg: "blocks built on blocks other than the best",
} as const;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];

/** 0: off. For what happens at a time it is how often, at most; for what is always there it is how bad. */
export type Faults = { readonly [Name in FaultName]: number };

const STRENGTH_MAX = 5;

/** Each of the possible faults is off more often than not. */
export function faultsArbitrary(possible: readonly FaultName[]): Arbitrary<Faults> {
  const off = fc.constant(0);
  const strength = fc.oneof(off, fc.integer({ min: 0, max: STRENGTH_MAX }));
  const of = (name: FaultName): Arbitrary<number> => (possible.includes(name) ? strength : off);
  return fc.record(Object.fromEntries(FAULT_NAMES.map((name) => [name, of(name)]))) as Arbitrary<Faults>;
}

/** Bytes per ms, by strength: at the strongest a message of 64 KiB takes six seconds. */
const LINES = [Number.POSITIVE_INFINITY, 1_000, 300, 100, 30, 10] as const;

/** Links and HTTP while the faults last. */
export const faultyLink = ({ slow, far, busy, ice, http }: Faults): LinkOptions => ({
  ...DEFAULT_LINK,
  latencyMs: [2, 40 + 80 * far],
  jitterMs: 8 + 60 * far,
  serviceMs: [0, 3 + 100 * busy],
  bytesPerMs: LINES[slow] ?? Number.POSITIVE_INFINITY,
  unreachableChance: 0.12 * ice,
  signalLossChance: 0.1 * http,
  signalDelayMs: [0, 800 * http],
});

const SKEW_STEP_MS = 700;

/** Up to 7 s: within what signed times allow (3.2), and beyond a slot. */
export const skewOf = ({ skew }: Faults, node: number): number => ((node * 5) % 3) * skew * SKEW_STEP_MS;
