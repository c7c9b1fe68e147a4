import fc, { type Arbitrary } from "fast-check";
import type { Hash } from "../core/ids.ts";
import { comparePriority, transactionPriority } from "../core/priority.ts";
import { slotOf } from "../reducers/fetch.ts";
import { type Checker, createChecker } from "./checker.ts";
import { encodeTransaction, judge, type SimTransaction, VERDICTS } from "./sim-chain.ts";
import { type Cluster, type ClusterObserver, type ClusterOptions, createCluster } from "./simulator.ts";

/** A random history of a small network: who dials whom, and what happens then. */
export interface Scenario {
  readonly seed: number;
  readonly nodes: number;
  /** Node n + 1 dials parent[n] modulo n + 1: a tree, so the graph is connected. */
  readonly parents: readonly number[];
  readonly extraDials: readonly (readonly [number, number])[];
  readonly events: readonly ScenarioEvent[];
}

/** Numbers are taken modulo what there is. */
type ScenarioEvent =
  | { readonly tag: "submit"; readonly node: number; readonly transaction: SimTransaction }
  | { readonly tag: "run"; readonly ms: number }
  /** Silent: both ends find out by themselves, late. */
  | { readonly tag: "cut"; readonly link: number; readonly isSilent: boolean }
  | { readonly tag: "freeze"; readonly node: number; readonly ms: number }
  | { readonly tag: "restart"; readonly node: number };

/** Few senders and nonces: most transactions have a rival for their slot. */
export const transactionArbitrary: Arbitrary<SimTransaction> = fc.record({
  fee: fc.bigInt({ min: 0n, max: 60n }),
  sender: fc.constantFrom("aa".repeat(32), "bb".repeat(32), "cc".repeat(32)),
  nonce: fc.nat(4),
  verdict: fc.oneof({ weight: 8, arbitrary: fc.constant(VERDICTS[0]) }, fc.constantFrom(...VERDICTS)),
  salt: fc.nat(1_000_000),
});

const NODES_MAX = 6;
/** Three silent ends of one peer are strikes that keep it away for half an hour: by design, and not the subject. */
const FAULTS_MAX = 2;
/** Beyond every deadline of the protocol: a frozen peer is given up, or what it did not serve is asked for again. */
const FREEZE_MAX_MS = 30_000;
/** A silently broken link is noticed by the transport as late as this. */
const NOTICE_MS = 13_000;

export function scenarioArbitrary({ restarts }: { readonly restarts: boolean }): Arbitrary<Scenario> {
  const node = fc.nat(NODES_MAX - 1);
  const submit = fc.record({ tag: fc.constant("submit"), node, transaction: transactionArbitrary });
  const run = fc.record({ tag: fc.constant("run"), ms: fc.nat(1_500) });
  const link = fc.nat(20);
  const cut = fc.record({ tag: fc.constant("cut"), link, isSilent: fc.boolean() });
  const freeze = fc.record({ tag: fc.constant("freeze"), node, ms: fc.nat(FREEZE_MAX_MS) });
  const restart = fc.record({ tag: fc.constant("restart"), node });
  return fc.record({
    seed: fc.integer(),
    nodes: fc.integer({ min: 2, max: NODES_MAX }),
    parents: fc.array(fc.nat(NODES_MAX), { minLength: NODES_MAX, maxLength: NODES_MAX }),
    extraDials: fc.array(fc.tuple(node, node), { maxLength: 4 }),
    events: fc.array(
      fc.oneof(
        { weight: 5, arbitrary: submit },
        { weight: 3, arbitrary: run },
        { weight: 1, arbitrary: cut },
        ...(restarts
          ? [
              { weight: 1, arbitrary: restart },
              { weight: 1, arbitrary: freeze },
            ]
          : []),
      ),
      { maxLength: 40 },
    ),
  });
}

export interface Played {
  readonly cluster: Cluster;
  readonly checker: Checker;
  /** What was handed to each node, and to which life of it. */
  readonly submitted: readonly { readonly node: number; readonly life: number; readonly bytes: Uint8Array }[];
}

/** Plays a scenario with every law checked at every step, then heals: until the network is quiet. */
export function play(scenario: Scenario, options: Partial<ClusterOptions> = {}): Played {
  const checker = createChecker((node) => cluster.chain(node).judged);
  const observers: readonly ClusterObserver[] = [checker, ...(options.observers ?? [])];
  const cluster = createCluster({ ...options, nodes: scenario.nodes, seed: scenario.seed, observers });
  const links = linksOf(scenario);
  for (const [from, to] of links) cluster.dial(from, to);
  const submitted: { node: number; life: number; bytes: Uint8Array }[] = [];
  const faults = { restart: 0, freeze: 0, silentCut: 0 };
  for (const event of scenario.events) {
    switch (event.tag) {
      case "submit": {
        const node = event.node % scenario.nodes;
        cluster.submit(node, event.transaction);
        const { life } = cluster.node(node);
        submitted.push({ node, life, bytes: encodeTransaction(event.transaction) });
        break;
      }
      case "run":
        cluster.runFor(event.ms);
        break;
      case "cut": {
        const [a, b] = links[event.link % links.length] ?? [0, 1];
        const isSilent = event.isSilent && faults.silentCut++ < FAULTS_MAX;
        cluster.cutLink(a, b, isSilent ? NOTICE_MS : 0);
        break;
      }
      case "restart":
        if (faults.restart++ < FAULTS_MAX) cluster.restart(event.node % scenario.nodes);
        break;
      case "freeze":
        if (faults.freeze++ < FAULTS_MAX) freeze(cluster, event.node % scenario.nodes, event.ms);
    }
  }
  cluster.runUntilQuiet();
  return { cluster, checker, submitted };
}

function freeze(cluster: Cluster, node: number, ms: number): void {
  const process = cluster.node(node);
  process.freeze();
  cluster.clock.after(ms, () => process.thaw());
}

export const poolOf = (cluster: Cluster, node: number): readonly Hash[] => [
  ...cluster.node(node).state.transactions.entries.keys(),
];

/** What a pool is to hold of these transactions: of each sender and nonce the best valid one. Slow and obvious. */
export function bestOf(transactions: readonly Uint8Array[]): readonly Hash[] {
  const best = new Map<string, Extract<ReturnType<typeof judge>, { tag: "valid" }>["info"]>();
  for (const bytes of transactions) {
    const verdict = judge(bytes);
    if (verdict.tag !== "valid") continue;
    const { info } = verdict;
    const slot = slotOf(info.sender, info.nonce);
    const rival = best.get(slot);
    const isBetter =
      rival === undefined || comparePriority(transactionPriority(info), transactionPriority(rival)) < 0;
    if (isBetter) best.set(slot, info);
  }
  return [...best.values()].map(({ hash }) => hash).sort();
}

function linksOf({ nodes, parents, extraDials }: Scenario): readonly (readonly [number, number])[] {
  const links: (readonly [number, number])[] = [];
  for (let node = 1; node < nodes; node++) links.push([node, (parents[node] ?? 0) % node]);
  for (const [a, b] of extraDials) {
    const [from, to] = [a % nodes, b % nodes];
    if (from !== to) links.push([from, to]);
  }
  return links;
}
