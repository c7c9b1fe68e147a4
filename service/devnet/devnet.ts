import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminError } from "../admin-client.ts";
import { type ChainFollower, createChainFollower } from "./chain-follower.ts";
import { exitText, type NodeProcess } from "./child.ts";
import { conclusion, type Display, invitation, SHOW_EVERY_MS } from "./display.ts";
import { type Recoveries, startDisturbances } from "./disturbances.ts";
import { createFates, type FateCounts, type Fates } from "./fates.ts";
import { type Feed, feedingKey, startFeed } from "./feed.ts";
import {
  DevnetError,
  type DevnetNode,
  diedError,
  type Network,
  pause,
  type StartOptions,
  startNetwork,
  unlessAborted,
} from "./network.ts";
import type { NetworkPlan } from "./plan.ts";
import { differences, hashesIn, type Round, untilEqual } from "./proof.ts";
import { createPropagation, type Propagation } from "./propagation.ts";
import { type DevnetResult, resultOf } from "./result.ts";
import { startWatch, type Watch } from "./watch.ts";

export interface DevnetOptions extends NetworkPlan {
  readonly degree: number;
  readonly byRelay: boolean;
  readonly ratePerSecond: number;
  /** null: until it is interrupted. */
  readonly durationMs: number | null;
  readonly slotMs: number;
  /** null: as many as a node holds by itself. */
  readonly poolSize: number | null;
  readonly seed: number;
  readonly record: string | null;
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
      if (!isStopping && !child.isKilled()) life.abort(diedError(child, exitText(exit)));
    });
  };

  const run = async (): Promise<DevnetResult> => {
    const data = mkdtempSync(join(tmpdir(), "pollen-devnet-"));
    const session = createSession(options, display, { data, onProcess, signal: life.signal });
    const showing = setInterval(session.show, SHOW_EVERY_MS);
    let failure: unknown = null;
    try {
      await session.start();
      isFed = true;
      await session.feed(feeding.signal);
      await session.settle(feeding.signal);
    } catch (thrown) {
      failure = await causeOf(thrown, life.signal);
    }
    clearInterval(showing);
    display.end();
    isStopping = true;
    life.abort(new DevnetError("the devnet ends"));
    const exits = await Promise.all(processes.map((child) => child.stop()));
    rmSync(data, { recursive: true, force: true });
    // Of a node that was started again, its last life counts.
    const exitCodes = new Map(processes.map(({ name }, index) => [name, exits[index]?.code ?? null]));
    return session.conclude(exitCodes, failure === null ? null : told(failure, display));
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

/** With the bands of 7.4 asked for every 10 s, and tips that were given up retried within as long. */
const SETTLE_TIMEOUT_MS = 60_000;
const INTERRUPTED_SETTLE_TIMEOUT_MS = 10_000;
const DEATH_NOTICE_MS = 500;

/** The parts of one run, in the order in which they come. */
interface Session {
  readonly start: () => Promise<void>;
  readonly feed: (interrupted: AbortSignal) => Promise<void>;
  /** Nothing is made any more: waits until all nodes have the same, and finds out what became of everything. */
  readonly settle: (interrupted: AbortSignal) => Promise<void>;
  readonly show: () => void;
  readonly conclude: (exitCodes: ReadonlyMap<string, number | null>, error: string | null) => DevnetResult;
}

function createSession(
  options: DevnetOptions,
  display: Display,
  starting: Pick<StartOptions, "data" | "onProcess" | "signal">,
): Session {
  const { signal } = starting;
  const { note } = display;
  const tracking = createTracking(options.nodes);
  const { propagation, fates, follower } = tracking;
  let startOptions: StartOptions = { ...starting, ...options, relay: null, genesisMs: Date.now(), note };
  const nodes: DevnetNode[] = [];
  let edges: Network["edges"] = [];
  let watch: Watch | undefined;
  let feed: Feed | undefined;
  let round: Round = [];
  let recoveries: Recoveries = { late: null, restarted: null };
  let recovering: () => Promise<Recoveries> = () => Promise.resolve(recoveries);
  let fateCounts: FateCounts | undefined;

  return {
    start: async () => {
      const network = await startNetwork({ ...options, ...startOptions });
      nodes.push(...network.nodes);
      edges = network.edges;
      startOptions = { ...startOptions, relay: network.relay };
      for (const line of invitation(nodes)) note(line);
      watch = startWatch({ nodes: network.nodes, propagation, follower, signal });
    },

    feed: async (interrupted) => {
      if (watch === undefined) return;
      feed = await openFeed(options, nodes, tracking, AbortSignal.any([interrupted, signal]));
      const { durationMs } = options;
      if (durationMs !== null) {
        const network = { ...options, ...startOptions, nodes, edges, feed, propagation, watch, interrupted };
        const disturbances = startDisturbances(network, durationMs);
        recovering = disturbances.caughtUp;
        await unlessAborted(disturbances.isOver, signal);
      }
      await unlessAborted(feed.ended, signal);
    },

    settle: async (interrupted) => {
      const startMs = performance.now();
      await stopMaking(nodes);
      const timeoutMs = () => (interrupted.aborted ? INTERRUPTED_SETTLE_TIMEOUT_MS : SETTLE_TIMEOUT_MS);
      round = await untilEqual(nodes, () => startMs + timeoutMs(), signal);
      recoveries = await recovering();
      fateCounts = await resolveFates(options.nodes, nodes, round, tracking);
      for (const line of await differences(nodes, round)) note(line);
    },

    show: () => {
      if (watch === undefined || feed === undefined) return;
      const included = fates.included() + follower.unfinal().size;
      display.show({ nodes, statuses: watch.statuses(), counts: feed.counts(), included, propagation });
    },

    conclude: (exitCodes, error) => {
      const counts = feed?.counts();
      const [delays, propagated] = [propagation.delays(), propagation.complete()];
      const said = round.length > 0 ? round : (watch?.statuses() ?? []);
      const findings = { options, nodes, round: said, counts, fates: fateCounts, delays, propagated };
      const result = resultOf({ ...findings, recoveries, exitCodes, error });
      for (const line of conclusion(result, counts)) note(line);
      return result;
    },
  };
}

/** Where the submitted transactions are. */
interface Tracking {
  readonly propagation: Propagation;
  readonly fates: Fates;
  readonly follower: ChainFollower;
}

function createTracking(nodes: number): Tracking {
  const propagation = createPropagation(nodes);
  const fates = createFates();
  const follower = createChainFollower({ onIncluded: propagation.gone, onFinal: fates.finalized });
  return { propagation, fates, follower };
}

async function openFeed(
  options: DevnetOptions,
  nodes: readonly DevnetNode[],
  { propagation, fates }: Tracking,
  signal: AbortSignal,
): Promise<Feed> {
  const [first] = nodes;
  if (first === undefined) throw new DevnetError("a devnet has at least one node");
  const { chainId } = await first.client.status();
  return startFeed({
    ...options,
    nodes: [...nodes],
    chainId,
    onSubmit: (submission, origin) => {
      fates.submitted(submission);
      propagation.submitted(submission.hash, origin);
    },
    onRefused: propagation.gone,
    signal,
  });
}

/** What became of everything, as the first node has it. @param fed the first nodes, which were fed */
async function resolveFates(
  fed: number,
  [first]: readonly DevnetNode[],
  [status]: Round,
  { fates, follower }: Tracking,
): Promise<FateCounts | undefined> {
  if (first === undefined || status === undefined || status === null) return undefined;
  await follower.follow(first.client, status.bestTip.hash);
  return fates.conclude({
    pool: new Set(await hashesIn(first.client, "transactions")),
    chain: follower.unfinal(),
    nonces: await noncesOf(first, fed),
  });
}

/** Otherwise the tips and the pools of workers' items would never stand still. */
async function stopMaking(nodes: readonly DevnetNode[]): Promise<void> {
  await Promise.all(
    nodes.flatMap(({ client, plan }) => [
      ...(plan.produce === null ? [] : [client.setRole("producer", false)]),
      ...(plan.fee === null ? [] : [client.setRole("worker", false)]),
    ]),
  );
}

/** The last applied nonce of each account that was fed from. */
async function noncesOf({ client }: DevnetNode, nodes: number): Promise<ReadonlyMap<string, number>> {
  const keys = Array.from({ length: nodes }, (_, index) => feedingKey(index));
  return new Map(
    await Promise.all(keys.map(async (key) => [key, (await client.account(key)).nonce] as const)),
  );
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
