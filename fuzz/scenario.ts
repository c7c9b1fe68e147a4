import type { RequestId } from "../core/ids.ts";
import { hashOf, type PoolInfo } from "../core/pools.ts";
import { type Checker, createChecker } from "./checker.ts";
import type { Scenario, ScenarioEvent } from "./scenario-arbitrary.ts";
import { UNLIMITED } from "./scenario-arbitrary.ts";
import { encodeTransaction, readItem } from "./sim-items.ts";
import { type Cluster, type ClusterObserver, type ClusterOptions, createCluster } from "./simulator.ts";

export interface Played {
  readonly cluster: Cluster;
  readonly checker: Checker;
  readonly submitted: readonly Submitted[];
}

/** A transaction that was handed to a process. */
export interface Submitted {
  readonly node: number;
  readonly life: number;
  readonly requestId: RequestId;
  readonly info: PoolInfo;
  /** A block of the process's best chain has included it or made it invalid. */
  wasSpent: boolean;
}

/** Three silent ends of one peer are strikes that keep it away for half an hour: by design, and not the subject. */
const FAULTS_MAX = 2;
/** A silently broken link is noticed by the transport as late as this. */
const NOTICE_MS = 13_000;
const WORK_FEE = 20n;

/** Plays a scenario with every law checked at every step, then heals: until the network is quiet. */
export function play(scenario: Scenario, options: Partial<ClusterOptions> = {}): Played {
  const checker = createChecker((node) => cluster.chain(node).judged);
  const submitted: Submitted[] = [];
  const spending: ClusterObserver = {
    after: ({ index, life }, _input, { actions }) => {
      for (const action of actions) {
        if (action.type !== "pool/followTip") continue;
        const removed = new Set(action.change.removed);
        for (const one of submitted) {
          if (one.node === index && one.life === life && removed.has(hashOf(one.info))) one.wasSpent = true;
        }
      }
    },
  };
  const cluster = createCluster({
    ...options,
    nodes: scenario.nodes,
    seed: scenario.seed,
    observers: [checker, spending, ...(options.observers ?? [])],
    chain: { isBatchOnly: scenario.isBatchOnly, transactionsMax: 3, proofSize: 100, ...options.chain },
    configOf: (index) => ({
      capacity: scenario.capacities[index] ?? UNLIMITED,
      workFee: scenario.workers.includes(index) ? WORK_FEE + BigInt(index) : null,
    }),
  });
  const links = linksOf(scenario);
  for (const [from, to] of links) cluster.dial(from, to);
  const faults = { restart: 0, freeze: 0, silentCut: 0 };
  for (const event of scenario.events) happen(cluster, scenario, links, event, faults, submitted);
  cluster.runUntilQuiet();
  return { cluster, checker, submitted };
}

function happen(
  cluster: Cluster,
  { nodes }: Scenario,
  links: readonly (readonly [number, number])[],
  event: ScenarioEvent,
  faults: { restart: number; freeze: number; silentCut: number },
  submitted: Submitted[],
): void {
  switch (event.tag) {
    case "submit": {
      const node = event.node % nodes;
      const { requestId } = cluster.submit(node, event.transaction);
      const info = readItem("transaction", encodeTransaction(event.transaction)).content?.info;
      const { life } = cluster.node(node);
      if (info !== undefined) submitted.push({ node, life, requestId, info, wasSpent: false });
      return;
    }
    case "submitSnark":
      submitSnark(cluster, event.node % nodes, event);
      return;
    case "run":
      cluster.runFor(event.ms);
      return;
    case "produce": {
      const node = event.node % nodes;
      const applied = [...cluster.chain(node).tree.keys()];
      const parent = applied.at(-1 - (event.back % applied.length));
      if (!cluster.node(node).isFrozen()) cluster.produce(node, event.back === 0 ? undefined : parent);
      return;
    }
    case "cut": {
      const [a, b] = links[event.link % links.length] ?? [0, 1];
      const isSilent = event.isSilent && faults.silentCut++ < FAULTS_MAX;
      cluster.cutLink(a, b, isSilent ? NOTICE_MS : 0);
      return;
    }
    case "restart":
      if (faults.restart++ < FAULTS_MAX) cluster.restart(event.node % nodes);
      return;
    case "freeze":
      if (faults.freeze++ < FAULTS_MAX) freeze(cluster, event.node % nodes, event.ms);
  }
}

function submitSnark(
  cluster: Cluster,
  node: number,
  { job, fee }: Extract<ScenarioEvent, { tag: "submitSnark" }>,
): void {
  const jobs = [...cluster.chain(node).best().ledger.jobs];
  const jobId = jobs[job % Math.max(1, jobs.length)];
  if (jobId === undefined) return;
  const prover = cluster.identity(node).publicKey;
  cluster.submitSnark(node, { jobId, fee: BigInt(fee), prover, verdict: "valid", salt: job, size: 50 });
}

function freeze(cluster: Cluster, node: number, ms: number): void {
  const process = cluster.node(node);
  process.freeze();
  cluster.clock.after(ms, () => process.thaw());
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
