import fc, { type Arbitrary } from "fast-check";
import { type SimTransaction, VERDICTS } from "./sim-items.ts";

/** A random history of a small network: who dials whom, and what happens then. */
export interface Scenario {
  readonly seed: number;
  readonly nodes: number;
  /** Node n + 1 dials parent[n] modulo n + 1: a tree, so the graph is connected. */
  readonly parents: readonly number[];
  readonly extraDials: readonly (readonly [number, number])[];
  /** Transactions that each node's pool holds at most. */
  readonly capacities: readonly number[];
  /** Nodes that make SNARK work. */
  readonly workers: readonly number[];
  readonly isBatchOnly: boolean;
  readonly events: readonly ScenarioEvent[];
}

/** Numbers are taken modulo what there is. */
export type ScenarioEvent =
  | { readonly tag: "submit"; readonly node: number; readonly transaction: SimTransaction }
  /** A proof of a job that is pending at the node's tip. */
  | { readonly tag: "submitSnark"; readonly node: number; readonly job: number; readonly fee: number }
  | { readonly tag: "run"; readonly ms: number }
  /** A block on the node's tip (0), or on the block that it has applied this many before its last one. */
  | { readonly tag: "produce"; readonly node: number; readonly back: number }
  /** Silent: both ends find out by themselves, late. */
  | { readonly tag: "cut"; readonly link: number; readonly isSilent: boolean }
  | { readonly tag: "freeze"; readonly node: number; readonly ms: number }
  | { readonly tag: "restart"; readonly node: number };

/** What may happen besides submissions and broken links. */
export interface ScenarioKinds {
  readonly restarts: boolean;
  readonly freezes: boolean;
  readonly blocks: boolean;
  readonly capacities: "unlimited" | "equal" | "mixed";
  /** How much happens: at least and at most. */
  readonly events?: readonly [number, number];
}

const NODES_MAX = 6;
const EVENTS: readonly [number, number] = [0, 60];
const HEIGHTS_MAX = 6;
export const UNLIMITED = 3_000;

/** Beyond every deadline of the protocol: a frozen peer is given up, or what it did not serve is asked for again. */
const FREEZE_MAX_MS = 30_000;

/** Few senders and nonces: most transactions have a rival for their slot. */
export const transactionArbitrary: Arbitrary<SimTransaction> = fc.record({
  fee: fc.bigInt({ min: 0n, max: 60n }),
  sender: fc.constantFrom("aa".repeat(32), "bb".repeat(32), "cc".repeat(32), "dd".repeat(32)),
  nonce: fc.nat(9),
  fromHeight: fc.constant(0),
  verdict: fc.oneof({ weight: 8, arbitrary: fc.constant(VERDICTS[0]) }, fc.constantFrom(...VERDICTS)),
  salt: fc.nat(1_000_000),
});

/** Some are valid only from some height on: what a branch makes valid another does not. */
const waitingArbitrary: Arbitrary<SimTransaction> = fc
  .tuple(transactionArbitrary, fc.nat(HEIGHTS_MAX))
  .map(([transaction, fromHeight]) => ({ ...transaction, fromHeight }));

export function scenarioArbitrary(kinds: ScenarioKinds): Arbitrary<Scenario> {
  const node = fc.nat(NODES_MAX - 1);
  const [minLength, maxLength] = kinds.events ?? EVENTS;
  return fc.record({
    seed: fc.integer(),
    nodes: fc.integer({ min: 2, max: NODES_MAX }),
    parents: fc.array(fc.nat(NODES_MAX), { minLength: NODES_MAX, maxLength: NODES_MAX }),
    extraDials: fc.array(fc.tuple(node, node), { maxLength: 4 }),
    capacities: capacitiesOf(kinds),
    workers: kinds.blocks ? fc.uniqueArray(node, { maxLength: 3 }) : fc.constant([]),
    isBatchOnly: fc.boolean(),
    events: fc.array(eventOf(kinds), { minLength, maxLength }),
  });
}

function capacitiesOf({ capacities }: ScenarioKinds): Arbitrary<readonly number[]> {
  const capacity = fc.constantFrom(1, 2, 3, 5, 8, UNLIMITED);
  const each = (length: number) => (of: number) => Array.from({ length }, () => of);
  switch (capacities) {
    case "unlimited":
      return fc.constant(each(NODES_MAX)(UNLIMITED));
    case "equal":
      return capacity.map(each(NODES_MAX));
    case "mixed":
      return fc.array(capacity, { minLength: NODES_MAX, maxLength: NODES_MAX });
  }
}

function eventOf({ restarts, freezes, blocks }: ScenarioKinds): Arbitrary<ScenarioEvent> {
  const node = fc.nat(NODES_MAX - 1);
  const transaction = blocks
    ? fc.oneof({ weight: 4, arbitrary: transactionArbitrary }, waitingArbitrary)
    : transactionArbitrary;
  const submit = fc.record({ tag: fc.constant("submit"), node, transaction });
  const run = fc.record({ tag: fc.constant("run"), ms: fc.nat(1_500) });
  const cut = fc.record({ tag: fc.constant("cut"), link: fc.nat(20), isSilent: fc.boolean() });
  const restart = fc.record({ tag: fc.constant("restart"), node });
  const freeze = fc.record({ tag: fc.constant("freeze"), node, ms: fc.nat(FREEZE_MAX_MS) });
  const back = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(5));
  const produce = fc.record({ tag: fc.constant("produce"), node, back });
  const submitSnark = fc.record({ tag: fc.constant("submitSnark"), node, job: fc.nat(20), fee: fc.nat(30) });
  return fc.oneof(
    { weight: 5, arbitrary: submit },
    { weight: 3, arbitrary: run },
    { weight: 1, arbitrary: cut },
    ...(restarts ? [{ weight: 1, arbitrary: restart }] : []),
    ...(freezes ? [{ weight: 1, arbitrary: freeze }] : []),
    ...(blocks
      ? [
          { weight: 3, arbitrary: produce },
          { weight: 1, arbitrary: submitSnark },
        ]
      : []),
  );
}
