import { REASONS, severity } from "../../core/reasons.ts";
import { API_POOLS, type ApiPool, type NodeStatus } from "../admin-client.ts";
import type { CaughtUp } from "./catch-up.ts";
import type { Recoveries } from "./disturbances.ts";
import type { FateCounts } from "./fates.ts";
import type { FeedCounts } from "./feed.ts";
import type { DevnetNode } from "./network.ts";
import type { NetworkPlan } from "./plan.ts";
import { arePoolsEqual, areTipsEqual, isPoolEqual, type Round } from "./proof.ts";
import type { Delays } from "./propagation.ts";

/** What came out of a run, as it is printed by `--json`. */
export interface DevnetResult {
  readonly nodes: number;
  readonly degree: number;
  readonly producers: number;
  readonly workers: number;
  readonly slotMs: number;
  readonly rate: number;
  /** How long transactions were fed. */
  readonly seconds: number;
  readonly submitted: number;
  readonly accepted: number;
  /** What became of the submitted ones: in every pool, in the chain of every node, made invalid by that chain ... */
  readonly everywhere: number;
  readonly included: number;
  readonly invalidated: number;
  /** ... or still with the node they were submitted to, whose pool is full. */
  readonly keptAside: number;
  /** None of these: there must be none. */
  readonly lost: number;
  /** Tips and pools. */
  readonly equal: boolean;
  readonly tipsEqual: boolean;
  readonly height: number;
  /** Null, here and below, where the nodes do not agree. */
  readonly tip: string | null;
  readonly ledgerRoot: string | null;
  /** Of all nodes together. */
  readonly reorgs: number;
  /** Blocks that the deepest of them has undone. */
  readonly deepestReorg: number;
  readonly poolsEqual: boolean;
  readonly pools: { readonly [Pool in ApiPool]: PoolResult };
  readonly propagationMs: Delays | null;
  /** Transactions of which that was measured: those seen in all pools. */
  readonly propagated: number;
  /** Bodies received for each item that a node had to fetch, where nodes were neither late nor started again. */
  readonly bodiesPerItem: number | null;
  /** Connections that ended for a violation: there must be none. */
  readonly violations: number;
  /** All connections that ended before the nodes were stopped, by who ended them and why. */
  readonly endings: Readonly<Record<string, number>>;
  readonly late: CaughtUp | null;
  readonly restarted: CaughtUp | null;
  readonly perNode: readonly NodeResult[];
  /** What went wrong, if anything did. */
  readonly error: string | null;
}

interface PoolResult {
  /** Of the largest one, if they are not equal. */
  readonly size: number;
  readonly digest: string | null;
}

interface NodeResult {
  readonly name: string;
  readonly peerId: string;
  readonly produces: boolean;
  readonly works: boolean;
  readonly peers: number;
  readonly height: number;
  readonly tip: string;
  readonly reorgs: number;
  readonly pools: { readonly [Pool in ApiPool]: { readonly size: number; readonly digest: string } };
  readonly bodies: number;
  /** null if a signal ended the process. */
  readonly exitCode: number | null;
}

/** Everything that had to hold does. */
export const isSuccess = (result: DevnetResult): boolean =>
  result.error === null &&
  result.equal &&
  result.lost === 0 &&
  result.violations === 0 &&
  result.perNode.every(({ exitCode }) => exitCode === 0);

export interface Findings {
  readonly options: NetworkPlan & {
    readonly degree: number;
    readonly slotMs: number;
    readonly ratePerSecond: number;
  };
  readonly nodes: readonly DevnetNode[];
  /** What the nodes said last. */
  readonly round: Round;
  readonly counts: FeedCounts | undefined;
  readonly fates: FateCounts | undefined;
  readonly delays: Delays | null;
  readonly propagated: number;
  readonly recoveries: Recoveries;
  /** By name of the node. */
  readonly exitCodes: ReadonlyMap<string, number | null>;
  readonly error: string | null;
}

export function resultOf(findings: Findings): DevnetResult {
  const { options, nodes, round, counts, fates, recoveries, exitCodes, error } = findings;
  const statuses = round.filter((status) => status !== null);
  const tipsEqual = areTipsEqual(round);
  const poolsEqual = arePoolsEqual(round);
  const bestTip = tipsEqual ? statuses[0]?.bestTip : undefined;
  const keptAside = sum(statuses.map(({ pools }) => pools.transactions.keptAside));
  const endings = endingsOf(statuses);
  return {
    nodes: options.nodes,
    degree: options.degree,
    producers: options.producers,
    workers: options.workers,
    slotMs: options.slotMs,
    rate: options.ratePerSecond,
    seconds: Math.round(counts?.elapsedMs ?? 0) / 1_000,
    submitted: counts?.submitted ?? 0,
    accepted: counts?.accepted ?? 0,
    everywhere: fates?.everywhere ?? 0,
    included: fates?.included ?? 0,
    invalidated: fates?.invalidated ?? 0,
    keptAside,
    lost: Math.max(0, (fates?.others.length ?? 0) - keptAside),
    equal: tipsEqual && poolsEqual,
    tipsEqual,
    height: Math.max(0, ...statuses.map((status) => status.bestTip.height)),
    tip: bestTip?.hash ?? null,
    ledgerRoot: bestTip?.ledgerRoot ?? null,
    reorgs: sum(statuses.map(({ reorganisations }) => reorganisations.count)),
    deepestReorg: Math.max(0, ...statuses.map(({ reorganisations }) => reorganisations.deepest)),
    poolsEqual,
    pools: perPool((pool) => poolResult(round, statuses, pool)),
    propagationMs: findings.delays,
    propagated: findings.propagated,
    bodiesPerItem: bodiesPerItem(nodes, round, counts),
    violations: violationsIn(endings),
    endings,
    ...recoveries,
    perNode: nodes.map((node, index) =>
      nodeResult(node, round[index] ?? null, exitCodes.get(node.name) ?? null),
    ),
    error,
  };
}

function nodeResult({ name, peerId, plan }: DevnetNode, status: NodeStatus | null, exitCode: number | null) {
  const { bodies } = status ?? {};
  return {
    name,
    peerId,
    produces: plan.produce !== null,
    works: plan.fee !== null,
    peers: status?.peers.connected ?? 0,
    height: status?.bestTip.height ?? 0,
    tip: status?.bestTip.hash ?? "",
    reorgs: status?.reorganisations.count ?? 0,
    pools: perPool((pool) => ({
      size: status?.pools[pool].size ?? 0,
      digest: status?.pools[pool].digest ?? "",
    })),
    bodies: (bodies?.transactions ?? 0) + (bodies?.snarks ?? 0),
    exitCode,
  };
}

function poolResult(round: Round, statuses: readonly NodeStatus[], pool: ApiPool): PoolResult {
  return {
    size: Math.max(0, ...statuses.map(({ pools }) => pools[pool].size)),
    digest: isPoolEqual(round, pool) ? (statuses[0]?.pools[pool].digest ?? null) : null,
  };
}

const perPool = <T>(make: (pool: ApiPool) => T): { readonly [Pool in ApiPool]: T } => {
  const [transactions, snarks, commitments] = API_POOLS;
  return {
    transactions: make(transactions),
    snarks: make(snarks),
    commitments: make(commitments),
  };
};

/** Each node has to fetch what was submitted to, or made by, others. */
function bodiesPerItem(
  nodes: readonly DevnetNode[],
  round: Round,
  counts: FeedCounts | undefined,
): number | null {
  if (counts === undefined) return null;
  const made = round.map((status) => status?.worker?.made ?? 0);
  const items = counts.accepted + sum(made);
  let bodies = 0;
  let fetched = 0;
  for (const [index, { plan }] of nodes.entries()) {
    const [status, own] = [round[index], counts.acceptedBy[index]];
    if (status === null || status === undefined || own === undefined || plan.isRestarted) continue;
    bodies += status.bodies.transactions + status.bodies.snarks;
    fetched += items - own - (made[index] ?? 0);
  }
  return fetched === 0 ? null : Math.round((1_000 * bodies) / fetched) / 1_000;
}

function endingsOf(statuses: readonly NodeStatus[]): Record<string, number> {
  const endings: Record<string, number> = {};
  for (const { disconnects } of statuses) {
    for (const [ending, count] of Object.entries(disconnects))
      endings[ending] = (endings[ending] ?? 0) + count;
  }
  return endings;
}

/** Both sides count the same end, unless one of them is gone. */
function violationsIn(endings: Readonly<Record<string, number>>): number {
  const names = REASONS.filter((reason) => severity(reason) === "violation");
  const toldBy = (side: string): number => sum(names.map((reason) => endings[`${side} ${reason}`] ?? 0));
  return Math.max(toldBy("us"), toldBy("them"));
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
