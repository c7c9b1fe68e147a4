import { DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS, SIGNAL_REPLY_TIMEOUT_MS } from "../../core/limits.ts";
import { checkBaseline } from "../invariants.ts";
import { identityOf } from "../sim-identity.ts";
import { createRandom, type Random } from "../sim-random.ts";
import type { Cluster, ClusterObserver, ClusterOptions } from "../simulator.ts";
import { postOffer } from "../stranger.ts";
import { createWatched } from "../watched.ts";

const MINUTE_MS = 60_000;
/** P27 */
const GONE_MS = 25_000;
const FLOOD = 120;

/** Two nodes or three, and who is connected with whom after what happens to them (P04, P05, P06, P27, P28). */
export function playConnections(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  const watched: Watched = (options) => {
    const all = [...observers, ...(options.observers ?? [])];
    return createWatched({ ...options, seed, observers: all }).cluster;
  };
  return [
    ...mutualDial(watched, random),
    ...silence(watched, random),
    ...deadAddress(watched),
    ...offersInItsName(watched, random),
    ...flood(watched, random),
    ...stop(watched, random),
  ];
}

/** A network of the seed, with every law checked. */
type Watched = (options: Omit<ClusterOptions, "seed">) => Cluster;

const liveOf = (cluster: Cluster, node: number): readonly number[] =>
  [...cluster.node(node).state.peers.values()].flatMap(({ live }) => (live === null ? [] : [live.attemptId]));

const bothLive = (cluster: Cluster): string => `[${liveOf(cluster, 0)}] [${liveOf(cluster, 1)}]`;

function mutualDial(watched: Watched, random: Random): readonly string[] {
  const latencyMs = random.int(400);
  const link = { latencyMs: [latencyMs, latencyMs], jitterMs: random.int(300) } as const;
  const cluster = watched({ nodes: 2, link });
  cluster.dial(0, 1);
  cluster.runFor(random.int(600));
  cluster.dial(1, 0);
  cluster.runUntilQuiet(MINUTE_MS);
  const live = bothLive(cluster);
  cluster.runFor(MINUTE_MS);
  const problems = bothLive(cluster) === live ? [] : [`P05: ${live} became ${bothLive(cluster)}`];
  const duplicates = cluster.nodes.flatMap(({ state }) =>
    Object.entries(state.endings).filter(([ending]) => ending.endsWith(" duplicate")),
  );
  // One connection more than needed, seen from both ends.
  const ended = duplicates.reduce((sum, [, count]) => sum + count, 0);
  if (ended > 2) problems.push(`P05: ${ended} ends of duplicates`);
  if (cluster.network.open() !== 2) problems.push(`P05: ${cluster.network.open()} ends are open`);
  return problems;
}

function silence(watched: Watched, random: Random): readonly string[] {
  const cluster = watched({ nodes: 2 });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  cluster.runFor(random.int(20_000));
  const [gone = 0] = liveOf(cluster, 0);
  const ways = [
    () => cluster.kill(1),
    () => cluster.node(1).freeze(),
    () => cluster.cutLink(0, 1, 10 * MINUTE_MS),
  ];
  ways[random.int(ways.length)]?.();
  cluster.runFor(GONE_MS);
  return liveOf(cluster, 0).includes(gone) ? [`P27: a silent peer is there after ${GONE_MS} ms`] : [];
}

function deadAddress(watched: Watched): readonly string[] {
  const timesMs: number[] = [];
  const cluster: Cluster = watched({
    nodes: 2,
    observers: [
      {
        after: (_node, _input, { actions }) => {
          if (actions.some(({ type }) => type === "dial/start")) timesMs.push(cluster.clock.nowMs);
        },
      },
    ],
  });
  cluster.kill(1);
  cluster.dial(0, 1);
  cluster.runFor(30 * MINUTE_MS);
  const problems = timesMs.length > 8 ? [] : [`P28: dialed ${timesMs.length} times`];
  for (const [index, ms] of timesMs.entries()) {
    const gapMs = (timesMs[index + 1] ?? Number.POSITIVE_INFINITY) - ms;
    const leastMs = Math.min(DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS * 2 ** index) / 2;
    if (gapMs < leastMs) problems.push(`P28: dial ${index + 2} came after ${gapMs} ms`);
  }
  return problems;
}

/** Half of them signed by the peer's own key: from a machine that has it too, or a process before it died. */
function offersInItsName(watched: Watched, random: Random): readonly string[] {
  const cluster = watched({ nodes: 2 });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  const before = bothLive(cluster);
  const from = cluster.identity(1);
  const answers: string[] = [];
  for (let number = 0; number < 6; number++) {
    const signer = random.chance(0.5) ? from : identityOf("forger");
    postOffer(cluster, { to: 0, from, signer, number, remoteAddress: `30.0.${number}.1` }, ({ tag }) => {
      answers.push(tag);
    });
    cluster.runFor(random.int(1_000));
  }
  cluster.runFor(MINUTE_MS);
  const problems = bothLive(cluster) === before ? [] : [`P04: ${before} became ${bothLive(cluster)}`];
  if (answers.length < 6) problems.push(`P06: ${answers.length} of 6 offers were answered`);
  if (cluster.node(0).state.offenders.size > 0) problems.push("P04: somebody is punished for a forged offer");
  return problems;
}

function flood(watched: Watched, random: Random): readonly string[] {
  // The caps are checked at every step by the invariants.
  const cluster = watched({ nodes: 1 });
  let answered = 0;
  const everyMs = random.between(1, 40);
  for (let number = 0; number < FLOOD; number++) {
    const from = identityOf(`stranger ${number % 8}`);
    postOffer(cluster, { to: 0, from, signer: from, number, remoteAddress: `40.${number % 100}.0.1` }, () => {
      answered += 1;
    });
    cluster.runFor(everyMs);
  }
  cluster.runFor(SIGNAL_REPLY_TIMEOUT_MS + 1_000);
  const problems = answered === FLOOD ? [] : [`P06: ${answered} of ${FLOOD} offers were answered`];
  cluster.runFor(200_000);
  return [...problems, ...checkBaseline(cluster.node(0).state)];
}

function stop(watched: Watched, random: Random): readonly string[] {
  const cluster = watched({ nodes: 3 });
  const dials = [
    [0, 1],
    [1, 0],
    [2, 0],
    [1, 2],
  ] as const;
  for (const [from, to] of dials) cluster.dial(from, to);
  cluster.runFor(random.int(500));
  for (const node of [0, 1, 2]) cluster.stop(node);
  cluster.runFor(200_000);
  const open = cluster.network.open();
  return [
    ...cluster.nodes.flatMap(({ state }) => checkBaseline(state)),
    ...(open === 0 ? [] : [`P33: ${open} ends are open after all have stopped`]),
  ];
}
