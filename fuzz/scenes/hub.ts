import { CHUNK_BYTES } from "../../core/limits.ts";
import { countBodies, JAIN_MIN, jainIndex, sum } from "../fairness/shares.ts";
import { beginStreams, connectStar, HUB, payment } from "../fairness/star.ts";
import { brokenPromises } from "../promises.ts";
import { createRandom, type Random } from "../sim-random.ts";
import type { Cluster, ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";

const PEERS = [5, 9] as const;
/** With fewer one is soon served, whoever is chosen. */
const ASKERS_MIN = 5;
const IDLE_MAX = 2;
/** At least seven requests of each: at half-time one more or less is no great difference. */
const ITEMS = [112, 128] as const;
const SENDERS = 5;
const STREAMING_PEERS = [5, 6] as const;
/** More than may be outstanding. */
const CHUNKS = [24, 32] as const;
const ROUNDS = 8;
/** About a slot: most blocks are on top of each other. */
const ROUND_MS = [300, 1_500] as const;
const PAUSE_MS_MAX = 40;
/** So often is looked whether half of everything has arrived. */
const LOOK_MS = 2;
/** Thirty times as long as it takes. */
const HALF_MS_MAX = 10_000;

/**
 * A star: all others want the same of one node at once - items, then tips and infos of what is new, then a stream.
 * Nobody is passed over (P30), and at half-time equal peers have got equal shares.
 */
export function playHub(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  return [...playItems(seed, random, observers), ...playStreams(seed, random, observers)];
}

function playItems(seed: number, random: Random, observers: readonly ClusterObserver[]): readonly string[] {
  const peers = random.between(...PEERS);
  const { observer, bodies } = countBodies();
  const { cluster, checker } = createWatched({
    nodes: peers + 1,
    seed,
    link: drawLink(random),
    observers: [...observers, observer],
  });
  connectStar(cluster, () => random.int(PAUSE_MS_MAX));
  const askers = drawAskers(random, peers);
  const items = random.between(...ITEMS);
  for (let nonce = 0; nonce < items; nonce++) {
    const item = payment(random.int(SENDERS), nonce);
    // Who has it already asks for nothing.
    for (const { index } of cluster.nodes) if (!askers.includes(index)) cluster.submit(index, item);
  }
  const problems = unequalShares(cluster, items, () => askers.map((node) => bodies(HUB, node)));
  cluster.runUntilQuiet();
  bustle(cluster, random);
  cluster.runUntilQuiet();
  return [...problems, ...brokenPromises({ cluster, checker, submitted: [] })];
}

/** Each has something to tell that nobody else has, and blocks are made. */
function bustle(cluster: Cluster, random: Random): void {
  for (let round = 0; round < ROUNDS; round++) {
    for (const { index } of cluster.nodes)
      if (random.chance(0.7)) cluster.submit(index, payment(SENDERS + index, round));
    if (random.chance(0.7)) cluster.produce(random.int(cluster.nodes.length));
    cluster.runFor(random.between(...ROUND_MS));
  }
}

function playStreams(seed: number, random: Random, observers: readonly ClusterObserver[]): readonly string[] {
  const peers = random.between(...STREAMING_PEERS);
  const ballast = random.between(...CHUNKS) * CHUNK_BYTES;
  const { cluster } = createWatched({
    nodes: peers + 1,
    seed,
    link: drawLink(random),
    chain: { ballast },
    observers,
  });
  connectStar(cluster, () => random.int(PAUSE_MS_MAX));
  const askers = drawAskers(random, peers);
  beginStreams(cluster, askers);
  const chunks = ballast / CHUNK_BYTES;
  // A download that is complete is forgotten.
  const stored = (node: number): number => cluster.node(node).state.download?.stored ?? chunks;
  const problems = unequalShares(cluster, chunks, () => askers.map(stored));
  cluster.runUntilQuiet();
  const unfinished = cluster.nodes.filter(({ state }) => state.download !== null).length;
  return unfinished === 0 ? problems : [...problems, `${unfinished} streams have not come to an end`];
}

/**
 * Equal links. To load something takes longer than the way there and back, so that whoever was served asks again before
 * the next one is: who is not served in turn is not served for long.
 */
function drawLink(random: Random) {
  const latencyMs = random.between(1, 3);
  const jitterMs = random.int(3);
  const leastMs = 2 * (latencyMs + jitterMs) + random.between(4, 8);
  return {
    latencyMs: [latencyMs, latencyMs],
    jitterMs,
    serviceMs: [leastMs, leastMs + random.int(5)],
    closedChance: 0,
  } as const;
}

function drawAskers(random: Random, peers: number): readonly number[] {
  const [first, idle] = [random.int(peers), random.between(0, Math.min(IDLE_MAX, peers - ASKERS_MIN))];
  return Array.from({ length: peers }, (_, number) => number + 1).filter(
    (node) => (node + first) % peers >= idle,
  );
}

/** Runs until all together have half of what they want. @param all that each of them wants */
function unequalShares(cluster: Cluster, all: number, sharesNow: () => readonly number[]): readonly string[] {
  const untilMs = cluster.clock.nowMs + HALF_MS_MAX;
  for (;;) {
    cluster.runFor(LOOK_MS);
    const shares = sharesNow();
    if (sum(shares) >= (shares.length * all) / 2)
      return jainIndex(shares) >= JAIN_MIN ? [] : [`P30: at half-time equal peers have got ${shares}`];
    if (cluster.clock.nowMs >= untilMs) return [`P30: after ${HALF_MS_MAX} ms peers have got only ${shares}`];
  }
}
