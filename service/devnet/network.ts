import { join } from "node:path";
import { type AdminClient, createAdminClient } from "../admin-client.ts";
import { exitText, type NodeProcess, startNodeProcess } from "./child.ts";
import { connectedGraph, degreesOf, type Edge } from "./graph.ts";
import { type NetworkPlan, type NodePlan, planNodes } from "./plan.ts";

/** A node of the devnet that is up. */
export interface DevnetNode {
  readonly name: string;
  readonly plan: NodePlan;
  readonly peerId: string;
  /** Null: it does not listen, and is reached by relay. */
  readonly address: string | null;
  readonly client: AdminClient;
  readonly process: NodeProcess;
  /** Neighbours in the graph: fewer connections mean that one is missing. */
  readonly degree: number;
}

/** What all nodes of a devnet have in common, and how their processes are started. */
export interface StartOptions {
  readonly slotMs: number;
  readonly genesisMs: number;
  /** Transactions each pool holds; null: as many as a node holds by itself. */
  readonly poolSize: number | null;
  /** Directory in which each node records to one of its own. */
  readonly record: string | null;
  /** The one node that listens and that the others know; null: all listen, and dial whom the graph says. */
  readonly relay: string | null;
  /** Directory in which the node that is started again keeps its key. */
  readonly data: string;
  readonly note: (text: string) => void;
  /** Called with each process at its start, so that it can be ended whatever happens. */
  readonly onProcess: (child: NodeProcess) => void;
  readonly signal: AbortSignal;
}

export interface NetworkOptions extends NetworkPlan, StartOptions {
  readonly degree: number;
  readonly seed: number;
  /** Only the first node listens; the others know only it, and find each other by its help. */
  readonly byRelay: boolean;
}

export interface Network {
  readonly nodes: readonly DevnetNode[];
  readonly edges: readonly Edge[];
  readonly relay: string | null;
}

/** What stops a devnet, in one line for the person who started it. */
export class DevnetError extends Error {
  override readonly name = "DevnetError";
  /** The last lines of the log of the node it is about. */
  readonly log: readonly string[];

  constructor(message: string, log: readonly string[] = []) {
    super(message);
    this.log = log;
  }
}

/**
 * Starts the processes, connects them, and waits until each has its peers.
 * @throws DevnetError, or the reason of the signal
 */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  return options.byRelay ? startByRelay(options) : startByGraph(options);
}

async function startByRelay(options: NetworkOptions): Promise<Network> {
  const [firstPlan, ...plans] = planNodes(options);
  if (firstPlan === undefined) throw new DevnetError("a devnet has at least one node");
  const others = options.nodes - 1;
  const first = await startOne(firstPlan, others, options);
  options.note(`1 of ${options.nodes} nodes is up: the others know only this one, and do not listen`);
  const { address: relay } = first;
  // The relay is one more.
  const degree = Math.min(options.degree + 1, others);
  const nodes = [first, ...(await startNodes(plans, () => degree, { ...options, relay }))];
  await waitForPeers(nodes, null, options);
  return { nodes, edges: [], relay };
}

async function startByGraph(options: NetworkOptions): Promise<Network> {
  const edges = connectedGraph(options.nodes, options.degree, options.seed);
  const degrees = degreesOf(edges, options.nodes);
  const nodes = await startNodes(planNodes(options), (index) => degrees[index] ?? 0, options);
  for (const { from, to } of edges) {
    const [dialer, listener] = [nodes[from], nodes[to]];
    if (dialer === undefined || listener?.address == null) continue;
    await dialer.client.dial(listener.address);
    await pause(DIAL_EVERY_MS, options.signal);
  }
  await waitForPeers(nodes, edges.length, options);
  return { nodes, edges, relay: null };
}

/** Where a node is reached; port 0 takes a free one. */
export interface Ports {
  readonly listen: number;
  readonly admin: number;
}

/** @param record name of its recording, in the directory of all */
export async function startOne(
  plan: NodePlan,
  degree: number,
  options: StartOptions,
  { listen, admin }: Ports = { listen: 0, admin: 0 },
  record = plan.name,
): Promise<DevnetNode> {
  const { onProcess, signal } = options;
  signal.throwIfAborted();
  const { name } = plan;
  const child = startNodeProcess(name, [
    ...(options.relay === null
      ? ["--listen", `127.0.0.1:${listen}`]
      : ["--listen", "none", "--peer", options.relay]),
    ...["--admin", `127.0.0.1:${admin}`],
    ...["--min-peers", String(options.relay === null ? 0 : degree)],
    ...["--admission-per-ip", String(ADMISSION_PER_IP)],
    ...["--slot", `${options.slotMs}ms`, "--genesis-time", String(options.genesisMs)],
    ...(options.poolSize === null ? [] : ["--pool-size", String(options.poolSize)]),
    ...(plan.produce === null ? [] : ["--produce", String(plan.produce)]),
    ...(plan.fee === null ? [] : ["--snark-worker", "--fee", String(plan.fee)]),
    ...(plan.isRestarted ? ["--data", join(options.data, name)] : []),
    ...(options.record === null ? [] : ["--record", join(options.record, record)]),
  ]);
  onProcess(child);
  const late = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
  const gone = child.exited.then((exit) => {
    throw diedError(child, exitText(exit));
  });
  try {
    const { peerId, address, admin: url } = await unlessAborted(Promise.race([child.ready, gone]), late);
    return { name, plan, peerId, address, client: createAdminClient(url), process: child, degree };
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    throw new DevnetError(`${name} is not up after ${START_TIMEOUT_MS / 1_000} s`, child.lastLines());
  }
}

export const diedError = (child: NodeProcess, exit: string): DevnetError =>
  new DevnetError(`${child.name} ended unexpectedly with ${exit}`, child.lastLines());

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
  });

/** Settles with the promise, or as the signal says. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** More processes that start at once only slow each other down. */
const STARTING_MAX = 2;
const START_TIMEOUT_MS = 60_000;
/** Connections set up one after the other are up sooner than all at once on few cores. */
const DIAL_EVERY_MS = 50;
const CONNECT_POLL_MS = 200;
const CONNECT_TIMEOUT_MS = 60_000;
/** Tests of admission are elsewhere: here all nodes have one address, and all are welcome. */
const ADMISSION_PER_IP = 256;

async function startNodes(
  plans: readonly NodePlan[],
  degreeOf: (index: number) => number,
  options: NetworkOptions,
): Promise<readonly DevnetNode[]> {
  const started: (DevnetNode | undefined)[] = [];
  let next = 0;
  let up = options.nodes - plans.length;
  const startRest = async (): Promise<void> => {
    for (let plan = plans[next]; plan !== undefined; plan = plans[next]) {
      const index = next;
      next += 1;
      started[index] = await startOne(plan, degreeOf(index), options);
      up += 1;
      options.note(`${up} of ${options.nodes} nodes are up`);
    }
  };
  await Promise.all(Array.from({ length: STARTING_MAX }, startRest));
  return started.filter((node) => node !== undefined);
}

/** @param expected null: the nodes decide how many there will be */
async function waitForPeers(
  nodes: readonly DevnetNode[],
  expected: number | null,
  { note, signal }: NetworkOptions,
): Promise<void> {
  const deadlineMs = performance.now() + CONNECT_TIMEOUT_MS;
  let told = -1;
  for (;;) {
    const statuses = await Promise.all(nodes.map(({ client }) => client.status()));
    const connected = statuses.map(({ peers }) => peers.connected);
    const lacking = nodes.filter(({ degree }, index) => (connected[index] ?? 0) < degree);
    const ends = connected.reduce((sum, each) => sum + each, 0);
    const up = Math.floor(ends / 2);
    if (ends !== told)
      note(expected === null ? `${up} connections are up` : `${up} of ${expected} connections are up`);
    told = ends;
    if (lacking.length === 0) return;
    if (performance.now() > deadlineMs) {
      const names = lacking.map(({ name, degree }) => `${name} (of ${degree})`).join(", ");
      throw new DevnetError(`after ${CONNECT_TIMEOUT_MS / 1_000} s these nodes lack peers: ${names}`);
    }
    await pause(CONNECT_POLL_MS, signal);
  }
}
