import { type CaughtUp, measureCatchUp, worstOf } from "./catch-up.ts";
import type { Feed } from "./feed.ts";
import type { Edge } from "./graph.ts";
import {
  DevnetError,
  type DevnetNode,
  pause,
  type StartOptions,
  startOne,
  unlessAborted,
} from "./network.ts";
import { planLate } from "./plan.ts";
import type { Propagation } from "./propagation.ts";
import type { Watch } from "./watch.ts";

/** What happens to a devnet while it is fed. */
export interface Disturbances {
  /** Settles when all nodes that were to come are up, or will not come because the run was interrupted. */
  readonly isOver: Promise<void>;
  /** Waits until they have caught up. @throws DevnetError if one has not when nothing moves any more */
  readonly caughtUp: () => Promise<Recoveries>;
}

/** The slowest of each kind; null if there was none. */
export interface Recoveries {
  readonly late: CaughtUp | null;
  readonly restarted: CaughtUp | null;
}

export interface DisturbedNetwork extends StartOptions {
  /** Which grows and changes. */
  readonly nodes: DevnetNode[];
  readonly edges: readonly Edge[];
  readonly degree: number;
  readonly late: number;
  readonly feed: Pick<Feed, "pause" | "resume">;
  readonly propagation: Pick<Propagation, "openFrom">;
  readonly watch: Pick<Watch, "add" | "statuses" | "stopMeasuring">;
  /** Whoever interrupts does not want to see more of it. */
  readonly interrupted: AbortSignal;
}

/** When, of the time that is fed. */
const RESTART_AT = 1 / 2;
const LATE_AT = 3 / 4;
/** What was submitted to a node that is going to be killed has so long to reach the others, and to be seen there. */
const SPREAD_TIMEOUT_MS = 20_000;
const SPREAD_POLL_MS = 100;
/** When the others stand still for so long, a node that is still behind stays behind. */
const CAUGHT_UP_TIMEOUT_MS = 5_000;

export function startDisturbances(network: DisturbedNetwork, durationMs: number): Disturbances {
  const restarting = network.nodes.findIndex(({ plan }) => plan.isRestarted);
  const restarts = restarting < 0 ? [] : [restart(network, restarting, durationMs * RESTART_AT)];
  const arrivals = planLate(network).map((plan, index) => arrive(network, plan, index, durationMs * LATE_AT));
  const all = [...restarts, ...arrivals];
  // Whoever waits for them hears of it; until then a failure is nobody's.
  for (const each of all) each.catch(() => undefined);
  return {
    isOver: Promise.all(all).then(() => undefined),
    caughtUp: async () => ({
      restarted: worstOf(await recovered(restarts, network.signal)),
      late: worstOf(await recovered(arrivals, network.signal)),
    }),
  };
}

/** A node that is up, and its way to the others; null: the run was interrupted before. */
type Started = { readonly name: string; readonly caughtUp: Promise<CaughtUp> } | null;

async function recovered(started: readonly Promise<Started>[], signal: AbortSignal): Promise<CaughtUp[]> {
  const all: CaughtUp[] = [];
  for (const each of await Promise.all(started)) {
    if (each === null) continue;
    const late = AbortSignal.any([signal, AbortSignal.timeout(CAUGHT_UP_TIMEOUT_MS)]);
    try {
      all.push(await unlessAborted(each.caughtUp, late));
    } catch (error) {
      if (!late.aborted || signal.aborted) throw error;
      throw new DevnetError(`${each.name} has not caught up with the others`);
    }
  }
  return all;
}

/** Kills a node, but only when no transaction is with it alone: that one would be lost, and nobody to blame. */
async function restart(network: DisturbedNetwork, index: number, afterMs: number): Promise<Started> {
  const { nodes, feed, watch, note, signal } = network;
  if (!(await passes(network, afterMs))) return null;
  const node = nodes[index];
  if (node === undefined) return null;
  feed.pause(index);
  await spread(network, index);
  watch.stopMeasuring(index);
  node.process.kill();
  await node.process.exited;
  note(`${node.name} was killed, and is being restarted`);
  const ports = { listen: portOf(node.address), admin: Number(new URL(node.client.url).port) };
  const again = await startOne(node.plan, node.degree, network, ports, `${node.name}-again`);
  nodes[index] = again;
  const neighbours = network.edges.flatMap(({ from, to }) =>
    from === index ? [to] : to === index ? [from] : [],
  );
  await dialAll(again, neighbours, nodes);
  const caughtUp = follow(network, again, index).finally(() => feed.resume(index));
  caughtUp.catch(() => undefined);
  signal.throwIfAborted();
  return { name: again.name, caughtUp };
}

async function arrive(
  network: DisturbedNetwork,
  plan: DevnetNode["plan"],
  number: number,
  afterMs: number,
): Promise<Started> {
  const { nodes, degree, watch, note } = network;
  if (!(await passes(network, afterMs))) return null;
  const node = await startOne(plan, degree, network);
  note(`${node.name} has joined late`);
  const others = nodes.filter((each) => !each.plan.isLate);
  const index = nodes.push(node) - 1;
  watch.add(node);
  const dials = Math.max(1, degree);
  const neighbours = Array.from({ length: dials }, (_, at) => (number * dials + at) % others.length);
  await dialAll(node, [...new Set(neighbours)], others);
  const caughtUp = follow(network, node, index);
  caughtUp.catch(() => undefined);
  return { name: node.name, caughtUp };
}

/** @returns false if the run was interrupted before */
const passes = ({ interrupted, signal }: DisturbedNetwork, ms: number): Promise<boolean> =>
  pause(ms, AbortSignal.any([interrupted, signal])).then(
    () => true,
    () => false,
  );

async function spread({ propagation, signal }: DisturbedNetwork, index: number): Promise<void> {
  const deadlineMs = performance.now() + SPREAD_TIMEOUT_MS;
  while (propagation.openFrom(index) > 0 && performance.now() < deadlineMs)
    await pause(SPREAD_POLL_MS, signal);
}

async function dialAll(
  { client }: DevnetNode,
  neighbours: readonly number[],
  nodes: readonly DevnetNode[],
): Promise<void> {
  for (const neighbour of neighbours) {
    const address = nodes[neighbour]?.address;
    if (address != null) await client.dial(address);
  }
}

const follow = ({ watch, signal, nodes }: DisturbedNetwork, node: DevnetNode, index: number) =>
  measureCatchUp(
    node,
    () =>
      watch
        .statuses()
        .filter((_, other) => other !== index && nodes[other]?.plan.isLate === false)
        .filter((status) => status !== null),
    signal,
  );

/** 0: any. */
const portOf = (address: string | null): number => Number(/\/tcp\/(\d+)\//.exec(address ?? "")?.[1] ?? 0);
