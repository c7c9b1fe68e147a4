import { AdminError, type NodeStatus } from "../admin-client.ts";
import { type Exit, exitText, type NodeProcess } from "./child.ts";
import { conclusion, type Display, invitation, SHOW_EVERY_MS } from "./display.ts";
import { type Feed, type FeedCounts, startFeed } from "./feed.ts";
import { DevnetError, type DevnetNode, diedError, pause, startNetwork, unlessAborted } from "./network.ts";
import { createPropagation, type Delays, type Propagation } from "./propagation.ts";
import { areEqual, startWatch, type Watch } from "./watch.ts";

export interface DevnetOptions {
  readonly nodes: number;
  readonly degree: number;
  readonly ratePerSecond: number;
  /** null: until it is interrupted. */
  readonly durationMs: number | null;
  readonly seed: number;
  readonly record: string | null;
}

export interface DevnetResult {
  readonly nodes: number;
  readonly degree: number;
  readonly rate: number;
  /** How long transactions were fed. */
  readonly seconds: number;
  readonly submitted: number;
  readonly accepted: number;
  /** Submitted transactions that are in every pool. */
  readonly everywhere: number;
  readonly equal: boolean;
  readonly poolSize: number;
  /** Of the pools if they are equal. */
  readonly digest: string | null;
  readonly propagationMs: Delays | null;
  readonly perNode: readonly NodeResult[];
  /** What went wrong, if anything did. */
  readonly error: string | null;
}

interface NodeResult {
  readonly name: string;
  readonly peerId: string;
  readonly peers: number;
  readonly poolSize: number;
  readonly digest: string;
  /** null if a signal ended the process. */
  readonly exitCode: number | null;
}

export interface Devnet {
  /** The first call ends the feed and finishes the report quickly. */
  readonly interrupt: () => void;
  /** Ends all processes at once. */
  readonly kill: () => void;
  /** Never rejects for what the network does: see `error`. */
  readonly result: Promise<DevnetResult>;
}

/** Runs a network of processes from its start to its end. No process outlives the result. */
export function startDevnet(options: DevnetOptions, display: Display): Devnet {
  const processes: NodeProcess[] = [];
  const life = new AbortController();
  const feeding = new AbortController();
  let isFed = false;
  let isStopping = false;

  const onProcess = (child: NodeProcess): void => {
    processes.push(child);
    void child.exited.then((exit) => {
      if (!isStopping) life.abort(diedError(child, exitText(exit)));
    });
  };

  const run = async (): Promise<DevnetResult> => {
    const propagation = createPropagation(options.nodes);
    let nodes: readonly DevnetNode[] = [];
    let watch: Watch | undefined;
    let feed: Feed | undefined;
    let failure: unknown = null;
    const showing = setInterval(() => {
      if (watch !== undefined && feed !== undefined)
        display.show({ nodes, statuses: watch.statuses(), counts: feed.counts(), propagation });
    }, SHOW_EVERY_MS);
    try {
      nodes = await startNetwork({ ...options, note: display.note, onProcess, signal: life.signal });
      for (const line of invitation(nodes)) display.note(line);
      isFed = true;
      watch = startWatch(nodes, propagation, life.signal);
      const signal = AbortSignal.any([feeding.signal, life.signal]);
      feed = await openFeed(options, nodes, propagation, signal);
      await unlessAborted(feed.ended, life.signal);
      await settle(watch, feeding.signal, life.signal);
    } catch (thrown) {
      failure = await causeOf(thrown, life.signal);
    }
    clearInterval(showing);
    display.end();
    isStopping = true;
    life.abort(new DevnetError("the devnet ends"));
    const exits = await Promise.all(processes.map((child) => child.stop()));
    const error = failure === null ? null : told(failure, display);
    const [statuses, counts] = [watch?.statuses() ?? [], feed?.counts()];
    const result = resultOf({ options, nodes, statuses, counts, propagation, exits, error });
    for (const line of conclusion(result, propagation, counts)) display.note(line);
    return result;
  };

  return {
    interrupt: () => {
      feeding.abort();
      if (!isFed) life.abort(new DevnetError("interrupted before any transaction was submitted"));
    },
    kill: () => {
      isStopping = true;
      for (const child of processes) child.kill();
    },
    result: run(),
  };
}

/** Everything that had to hold does. */
export const isSuccess = (result: DevnetResult): boolean =>
  result.error === null &&
  result.equal &&
  result.accepted === result.submitted &&
  result.everywhere === result.submitted &&
  result.perNode.every(({ exitCode }) => exitCode === 0);

const SETTLE_TIMEOUT_MS = 30_000;
const INTERRUPTED_SETTLE_TIMEOUT_MS = 3_000;
const SETTLE_POLL_MS = 50;
const DEATH_NOTICE_MS = 500;

async function openFeed(
  options: DevnetOptions,
  nodes: readonly DevnetNode[],
  propagation: Propagation,
  signal: AbortSignal,
): Promise<Feed> {
  const [first] = nodes;
  if (first === undefined) throw new DevnetError("a devnet has at least one node");
  const { chainId } = await first.client.status();
  return startFeed({ ...options, nodes, chainId, propagation, signal });
}

/** A node that does not answer has often died: how it died says more. */
async function causeOf(thrown: unknown, life: AbortSignal): Promise<unknown> {
  if (thrown instanceof AdminError) await pause(DEATH_NOTICE_MS, life).catch(() => undefined);
  return life.aborted ? life.reason : thrown;
}

/** @throws what is a bug */
function told(failure: unknown, display: Display): string {
  if (!(failure instanceof DevnetError || failure instanceof AdminError)) throw failure;
  if (failure instanceof DevnetError && failure.log.length > 0) {
    display.note(["the end of its log:", ...failure.log].join("\n"));
  }
  return failure.message;
}

/** Waits until all pools are equal; if they never are, the result says so. */
async function settle(watch: Watch, feeding: AbortSignal, life: AbortSignal): Promise<void> {
  const startMs = performance.now();
  while (!watch.isSettled()) {
    const timeoutMs = feeding.aborted ? INTERRUPTED_SETTLE_TIMEOUT_MS : SETTLE_TIMEOUT_MS;
    if (performance.now() - startMs > timeoutMs) return;
    await pause(SETTLE_POLL_MS, life);
  }
}

interface Findings {
  readonly options: DevnetOptions;
  readonly nodes: readonly DevnetNode[];
  readonly statuses: readonly (NodeStatus | null)[];
  readonly counts: FeedCounts | undefined;
  readonly propagation: Propagation;
  readonly exits: readonly Exit[];
  readonly error: string | null;
}

function resultOf({ options, nodes, statuses, counts, propagation, exits, error }: Findings): DevnetResult {
  const equal = statuses.length > 0 && areEqual(statuses);
  const sizes = statuses.map((status) => status?.pools.transactions.size ?? 0);
  return {
    nodes: options.nodes,
    degree: options.degree,
    rate: options.ratePerSecond,
    seconds: Math.round(counts?.elapsedMs ?? 0) / 1_000,
    submitted: counts?.submitted ?? 0,
    accepted: counts?.accepted ?? 0,
    everywhere: propagation.complete(),
    equal,
    poolSize: Math.max(0, ...sizes),
    digest: equal ? (statuses[0]?.pools.transactions.digest ?? null) : null,
    propagationMs: propagation.delays(),
    perNode: nodes.map(({ name, peerId }, index) => ({
      name,
      peerId,
      peers: statuses[index]?.peers.connected ?? 0,
      poolSize: sizes[index] ?? 0,
      digest: statuses[index]?.pools.transactions.digest ?? "",
      exitCode: exits[index]?.code ?? null,
    })),
    error,
  };
}
