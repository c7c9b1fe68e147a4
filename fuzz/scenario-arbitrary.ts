import fc, { type Arbitrary } from "fast-check";
import { type FaultName, type Faults, faultsArbitrary } from "./faults.ts";
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
  /** That a block takes; by default few. */
  readonly transactionsMax?: number;
  readonly slotsPerEpoch?: number;
  readonly faults: Faults;
  readonly events: readonly ScenarioEvent[];
}

/** Numbers are taken modulo what there is. An event of a fault happens only as often as its strength allows. */
export type ScenarioEvent =
  | { readonly tag: "submit"; readonly node: number; readonly transaction: SimTransaction }
  /** A proof of a job that is pending at the node's tip. */
  | { readonly tag: "submitSnark"; readonly node: number; readonly job: number; readonly fee: number }
  | { readonly tag: "run"; readonly ms: number }
  /** A block on the node's tip (0), or on the block that it has applied this many before its last one. */
  | { readonly tag: "produce"; readonly node: number; readonly back: number }
  /** Silent: both ends find out by themselves, late. */
  | { readonly tag: "cut"; readonly link: number; readonly isSilent: boolean }
  | { readonly tag: "stall"; readonly link: number; readonly ways: Ways; readonly ms: number }
  | { readonly tag: "dials"; readonly link: number; readonly isBoth: boolean }
  | { readonly tag: "freeze"; readonly node: number; readonly ms: number }
  | { readonly tag: "restart"; readonly node: number }
  | {
      readonly tag: "crash";
      readonly node: number;
      readonly inputs: number;
      readonly effects: number;
      readonly downMs: number;
    }
  | { readonly tag: "leap"; readonly node: number; readonly ms: number };

type Ways = "there" | "back" | "both";

/** What may happen besides submissions. */
export interface ScenarioKinds {
  readonly faults: readonly FaultName[];
  readonly blocks: boolean;
  readonly capacities: "unlimited" | "equal" | "mixed";
  /** How much happens: at least and at most. */
  readonly events?: readonly [number, number];
  /** Exactly so many; else from 2 to 6. */
  readonly nodes?: number | undefined;
}

const NODES_MAX = 6;
const EVENTS: readonly [number, number] = [0, 60];
const HEIGHTS_MAX = 6;
export const UNLIMITED = 3_000;

/** Beyond every deadline of the protocol: a frozen peer is given up, or what it did not serve is asked for again. */
const FREEZE_MAX_MS = 30_000;
/** All together not further than signed times may lie ahead: beyond a minute a node is alone with its clock. */
const LEAP_MAX_MS = 10_000;
/** Long enough that commitments and cursors are forgotten. */
const LONG_MS = 660_000;
/** A transport would give up a link that is dead for longer. */
const STALL_MAX_MS = 12_000;

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
  const most = kinds.nodes ?? NODES_MAX;
  const node = fc.nat(most - 1);
  const [minLength, maxLength] = kinds.events ?? EVENTS;
  return fc.record({
    seed: fc.integer(),
    nodes: kinds.nodes === undefined ? fc.integer({ min: 2, max: most }) : fc.constant(most),
    parents: fc.array(fc.nat(most), { minLength: most, maxLength: most }),
    extraDials: fc.array(fc.tuple(node, node), { maxLength: most - 2 }),
    capacities: capacitiesOf(kinds, most),
    workers: kinds.blocks ? fc.uniqueArray(node, { maxLength: 3 }) : fc.constant([]),
    isBatchOnly: fc.boolean(),
    faults: faultsArbitrary(kinds.faults),
    // Without a size fast-check makes ten of them at most.
    events: fc.array(eventOf(kinds, node), { minLength, maxLength, size: "max" }),
  });
}

function capacitiesOf({ capacities }: ScenarioKinds, nodes: number): Arbitrary<readonly number[]> {
  const capacity = fc.constantFrom(1, 2, 3, 5, 8, UNLIMITED);
  const each = (length: number) => (of: number) => Array.from({ length }, () => of);
  switch (capacities) {
    case "unlimited":
      return fc.constant(each(nodes)(UNLIMITED));
    case "equal":
      return capacity.map(each(nodes));
    case "mixed":
      return fc.array(capacity, { minLength: nodes, maxLength: nodes });
  }
}

function eventOf({ faults, blocks }: ScenarioKinds, node: Arbitrary<number>): Arbitrary<ScenarioEvent> {
  const transaction = blocks
    ? fc.oneof({ weight: 4, arbitrary: transactionArbitrary }, waitingArbitrary)
    : transactionArbitrary;
  const submit = fc.record({ tag: fc.constant("submit"), node, transaction });
  const ms = fc.oneof({ weight: 99, arbitrary: fc.nat(1_500) }, fc.constant(LONG_MS));
  const run = fc.record({ tag: fc.constant("run"), ms });
  const back = faults.includes("reorg")
    ? fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(5))
    : fc.constant(0);
  const produce = fc.record({ tag: fc.constant("produce"), node, back });
  const submitSnark = fc.record({ tag: fc.constant("submitSnark"), node, job: fc.nat(20), fee: fc.nat(30) });
  return fc.oneof(
    { weight: 5, arbitrary: submit },
    { weight: 3, arbitrary: run },
    ...faults.flatMap((name) => {
      const arbitrary = faultEventOf(name, node);
      return arbitrary === null ? [] : [{ weight: 1, arbitrary }];
    }),
    ...(blocks
      ? [
          { weight: 3, arbitrary: produce },
          { weight: 1, arbitrary: submitSnark },
        ]
      : []),
  );
}

/** Null for a fault that is there all the time. */
function faultEventOf(name: FaultName, node: Arbitrary<number>): Arbitrary<ScenarioEvent> | null {
  const link = fc.nat(20);
  switch (name) {
    case "cut":
      return fc.record({ tag: fc.constant("cut"), link, isSilent: fc.boolean() });
    case "stall": {
      const ways = fc.constantFrom<Ways[]>("there", "back", "both");
      return fc.record({ tag: fc.constant("stall"), link, ways, ms: fc.nat(STALL_MAX_MS) });
    }
    case "dials":
      return fc.record({ tag: fc.constant("dials"), link, isBoth: fc.boolean() });
    case "freeze":
      return fc.record({ tag: fc.constant("freeze"), node, ms: fc.nat(FREEZE_MAX_MS) });
    case "restart":
      return fc.record({ tag: fc.constant("restart"), node });
    case "crash": {
      const [inputs, effects, downMs] = [fc.nat(40), fc.nat(4), fc.nat(20_000)];
      return fc.record({ tag: fc.constant("crash"), node, inputs, effects, downMs });
    }
    case "leap":
      return fc.record({ tag: fc.constant("leap"), node, ms: fc.nat(LEAP_MAX_MS) });
    default:
      return null;
  }
}
