import { join } from "node:path";
import { type AdminClient, createAdminClient } from "../admin-client.ts";
import { exitText, type NodeProcess, startNodeProcess } from "./child.ts";
import { connectedGraph, degreesOf } from "./graph.ts";

/** A node of the devnet that is up. */
export interface DevnetNode {
  readonly name: string;
  readonly peerId: string;
  readonly address: string;
  readonly client: AdminClient;
  readonly process: NodeProcess;
  /** Neighbours in the graph: fewer connections mean that one is missing. */
  readonly degree: number;
}

export interface NetworkOptions {
  readonly nodes: number;
  readonly degree: number;
  readonly seed: number;
  /** Directory in which each node records to one of its own. */
  readonly record: string | null;
  readonly note: (text: string) => void;
  /** Called with each process at its start, so that it can be ended whatever happens. */
  readonly onProcess: (child: NodeProcess) => void;
  readonly signal: AbortSignal;
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
export async function startNetwork(options: NetworkOptions): Promise<readonly DevnetNode[]> {
  const edges = connectedGraph(options.nodes, options.degree, options.seed);
  const degrees = degreesOf(edges, options.nodes);
  const nodes = await startNodes(options, degrees);
  for (const { from, to } of edges) {
    const [dialer, listener] = [nodes[from], nodes[to]];
    if (dialer === undefined || listener === undefined) continue;
    await dialer.client.dial(listener.address);
    await pause(DIAL_EVERY_MS, options.signal);
  }
  await waitForPeers(nodes, edges.length, options);
  return nodes;
}

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
  options: NetworkOptions,
  degrees: readonly number[],
): Promise<readonly DevnetNode[]> {
  const started: (DevnetNode | undefined)[] = [];
  let next = 0;
  let up = 0;
  const startRest = async (): Promise<void> => {
    while (next < options.nodes) {
      const index = next;
      next += 1;
      started[index] = await startOne(index, degrees[index] ?? 0, options);
      up += 1;
      options.note(`${up} of ${options.nodes} nodes are up`);
    }
  };
  await Promise.all(Array.from({ length: STARTING_MAX }, startRest));
  return started.filter((node) => node !== undefined);
}

async function startOne(
  index: number,
  degree: number,
  { record, onProcess, signal }: NetworkOptions,
): Promise<DevnetNode> {
  signal.throwIfAborted();
  const name = `node-${index + 1}`;
  const child = startNodeProcess(name, [
    ...["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ...["--admission-per-ip", String(ADMISSION_PER_IP)],
    ...(record === null ? [] : ["--record", join(record, name)]),
  ]);
  onProcess(child);
  const late = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
  const gone = child.exited.then((exit) => {
    throw diedError(child, exitText(exit));
  });
  try {
    const { peerId, address, admin } = await unlessAborted(Promise.race([child.ready, gone]), late);
    return { name, peerId, address, client: createAdminClient(admin), process: child, degree };
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    throw new DevnetError(`${name} is not up after ${START_TIMEOUT_MS / 1_000} s`, child.lastLines());
  }
}

export const diedError = (child: NodeProcess, exit: string): DevnetError =>
  new DevnetError(`${child.name} ended unexpectedly with ${exit}`, child.lastLines());

async function waitForPeers(
  nodes: readonly DevnetNode[],
  connections: number,
  { note, signal }: NetworkOptions,
): Promise<void> {
  const deadlineMs = performance.now() + CONNECT_TIMEOUT_MS;
  let told = -1;
  for (;;) {
    const statuses = await Promise.all(nodes.map(({ client }) => client.status()));
    const connected = statuses.map(({ peers }) => peers.connected);
    const lacking = nodes.filter(({ degree }, index) => (connected[index] ?? 0) < degree);
    const ends = connected.reduce((sum, each) => sum + each, 0);
    if (ends !== told) note(`${Math.floor(ends / 2)} of ${connections} connections are up`);
    told = ends;
    if (lacking.length === 0) return;
    if (performance.now() > deadlineMs) {
      const names = lacking.map(({ name, degree }) => `${name} (of ${degree})`).join(", ");
      throw new DevnetError(`after ${CONNECT_TIMEOUT_MS / 1_000} s these nodes lack peers: ${names}`);
    }
    await pause(CONNECT_POLL_MS, signal);
  }
}
