import type { Checker } from "./checker.ts";
import { type FaultName, faultyLink, skewOf } from "./faults.ts";
import type { Scenario, ScenarioEvent } from "./scenario-arbitrary.ts";
import { UNLIMITED } from "./scenario-arbitrary.ts";
import { DEFAULT_LINK } from "./sim-host.ts";
import type { Cluster, ClusterOptions } from "./simulator.ts";
import { createSubmissions, type Submissions, type Submitted } from "./submissions.ts";
import { createWatched } from "./watched.ts";

export interface Played {
  readonly cluster: Cluster;
  readonly checker: Checker;
  readonly submitted: readonly Submitted[];
}

/** Three silent ends of one peer are strikes that keep it away for half an hour: then that has to be waited for. */
const QUIET_LIMIT_MS = 90 * 60_000;
/** A silently broken link is noticed by the transport as late as this. */
const NOTICE_MS = 13_000;
const WORK_FEE = 20n;
const TRANSACTIONS_MAX = 3;

/**
 * Plays a scenario with every law checked at every step. Then everything heals, and it goes on until the network is
 * quiet.
 *
 * @param begun is told of the cluster, to look at it even if playing throws
 * @throws Error at the first law that is broken, or if it does not become quiet
 */
export function play(
  scenario: Scenario,
  options: Partial<ClusterOptions> = {},
  begun: (cluster: Cluster) => void = () => undefined,
): Played {
  const submissions = createSubmissions();
  const { cluster, checker } = createWatched({
    ...options,
    nodes: scenario.nodes,
    seed: scenario.seed,
    observers: [submissions.observer, ...(options.observers ?? [])],
    link: faultyLink(scenario.faults),
    skewOf: (node) => skewOf(scenario.faults, node),
    chain: {
      isBatchOnly: scenario.isBatchOnly,
      transactionsMax: scenario.transactionsMax ?? TRANSACTIONS_MAX,
      proofSize: 100,
      ...(scenario.slotsPerEpoch === undefined ? {} : { slotsPerEpoch: scenario.slotsPerEpoch }),
      ...options.chain,
    },
    configOf: (index) => ({
      capacity: scenario.capacities[index] ?? UNLIMITED,
      workFee: scenario.workers.includes(index) ? WORK_FEE + BigInt(index) : null,
    }),
  });
  begun(cluster);
  const links = linksOf(scenario);
  for (const [from, to] of links) cluster.dial(from, to);
  const left: Record<FaultName, number> = { ...scenario.faults };
  const mayHappen = (fault: FaultName): boolean => left[fault]-- > 0;
  for (const event of scenario.events) happen(cluster, scenario, links, event, mayHappen, submissions);
  cluster.setLink(DEFAULT_LINK);
  cluster.runUntilQuiet(QUIET_LIMIT_MS);
  return { cluster, checker, submitted: submissions.all };
}

function happen(
  cluster: Cluster,
  { nodes }: Scenario,
  links: readonly (readonly [number, number])[],
  event: ScenarioEvent,
  mayHappen: (fault: FaultName) => boolean,
  { submit }: Submissions,
): void {
  const linkOf = (number: number): readonly [number, number] => links[number % links.length] ?? [0, 1];
  switch (event.tag) {
    case "submit":
      submit(cluster, event.node % nodes, event.transaction);
      return;
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
    case "cut":
      if (mayHappen("cut")) cluster.cutLink(...linkOf(event.link), event.isSilent ? NOTICE_MS : 0);
      return;
    case "stall": {
      const [a, b] = linkOf(event.link);
      if (!mayHappen("stall")) return;
      if (event.ways !== "back") cluster.network.stall(a, b, event.ms);
      if (event.ways !== "there") cluster.network.stall(b, a, event.ms);
      return;
    }
    case "dials": {
      const [a, b] = linkOf(event.link);
      if (!mayHappen("dials")) return;
      cluster.dial(a, b);
      if (event.isBoth) cluster.dial(b, a);
      return;
    }
    case "restart":
      if (mayHappen("restart")) cluster.restart(event.node % nodes);
      return;
    case "crash":
      if (mayHappen("crash")) cluster.crash(event.node % nodes, event.inputs, event.effects, event.downMs);
      return;
    case "leap":
      if (mayHappen("leap")) cluster.node(event.node % nodes).leap(event.ms);
      return;
    case "freeze":
      if (mayHappen("freeze")) freeze(cluster, event.node % nodes, event.ms);
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
