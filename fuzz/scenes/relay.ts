import { EXCHANGE_PERMITS, ROTATE_MS } from "../../core/limits.ts";
import { brokenPromises } from "../promises.ts";
import { lostPermits, underWay } from "../relay-flows.ts";
import { DEFAULT_LINK } from "../sim-host.ts";
import { accountOf } from "../sim-items.ts";
import { createRandom, type Random } from "../sim-random.ts";
import type { Cluster, ClusterObserver } from "../simulator.ts";
import { createSubmissions, type Submissions } from "../submissions.ts";
import { createWatched } from "../watched.ts";
import { readWire } from "../wire.ts";

const SEED_NODE = 0;
const NODES = [4, 7] as const;
const PEERS_MIN_LEAST = 2;
const FAULTS = [3, 9] as const;
const FAULT_SPREAD_MS = 15_000;
const STANDSTILL_MS = [1_000, 40_000] as const;
const DOWN_MS = [100, 40_000] as const;
/** Of all clocks together: signals of two that are a minute apart are stale. */
const LEAPS_MS_MAX = 58_000;
/** A silently broken link is noticed by the transport as late as this. */
const NOTICE_MS = 13_000;
/** Strikes keep a peer away for half an hour, and whoever was declined is not named for ten minutes. */
const FOUND_MS_MAX = 90 * 60_000;
const LOOK_MS = 5_000;
/** Longer than any pause and than a permit is unusable, shorter than what is between two rotations. */
const CALM_MS = 120_000;

/**
 * Nodes that know nobody but one seed find each other through it and through whom they have found (7.1, 7.2), while links
 * and processes fail, the relay in the middle of an offer among them. In the end every node has as many peers as it
 * wants or there are, all agree, and no permit is lost (P11, P13).
 */
export function playRelay(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  const nodes = random.between(...NODES);
  // Sometimes somebody wants more than there are, and never stops to ask.
  const peersMin = Array.from({ length: nodes }, (_, index) =>
    index === SEED_NODE ? 0 : random.between(PEERS_MIN_LEAST, random.chance(0.1) ? nodes : nodes - 1),
  );
  const submissions = createSubmissions();
  const onOffer = { left: 0, run: (_relay: number): void => {} };
  const { cluster, checker } = createWatched({
    nodes,
    seed,
    link: { ...DEFAULT_LINK, closedChance: random.chance(0.5) ? 0.25 : 0, jitterMs: random.int(100) },
    configOf: (index) => ({ peersMin: peersMin[index] ?? 0 }),
    observers: [
      submissions.observer,
      {
        sent: (from, _attemptId, _to, channel, bytes) => {
          if (channel !== "signaling/exchange" || onOffer.left === 0) return;
          const wire = readWire(channel, bytes);
          if (typeof wire === "string" || wire.message.tag !== "offer" || --onOffer.left > 0) return;
          onOffer.run(from.index);
        },
      },
      ...observers,
    ],
  });
  for (let node = 1; node < nodes; node++) {
    cluster.clock.after(random.int(5_000), () => void cluster.dial(node, SEED_NODE));
  }
  const leaps = { leftMs: LEAPS_MS_MAX };
  const faults = random.between(...FAULTS);
  for (let number = 0; number < faults; number++) {
    fail(cluster, random, onOffer, leaps);
    submitSome(cluster, random, number, submissions);
    cluster.runFor(random.int(FAULT_SPREAD_MS));
  }
  onOffer.left = 0;
  cluster.runFor(Math.max(STANDSTILL_MS[1], DOWN_MS[1]) + 1_000);
  cluster.runUntilQuiet(FOUND_MS_MAX);
  const startMs = cluster.clock.nowMs;
  while (lonely(cluster).length > 0 && cluster.clock.nowMs < startMs + FOUND_MS_MAX) cluster.runFor(LOOK_MS);
  cluster.runUntilQuiet(FOUND_MS_MAX);
  const problems = [...lonely(cluster), ...brokenPromises({ cluster, checker, submitted: submissions.all })];
  if (peersMin.some((wanted) => wanted >= nodes)) return problems;
  // Each tries one more now and then, and uses a permit for it: what is lost is lost at both looks.
  cluster.runFor(ROTATE_MS + CALM_MS);
  const first = restless(cluster);
  cluster.runFor(CALM_MS);
  return [...problems, ...lonely(cluster), ...restless(cluster).filter((thing) => first.includes(thing))];
}

/** What is under way, and which permits cannot be used. */
const restless = ({ nodes }: Cluster): readonly string[] =>
  nodes.flatMap(({ index, state }) => [
    ...underWay(state).map((thing) => `P13: node ${index} does not come to rest: ${thing}`),
    // With more peers not everybody has one of the few permits at a time.
    ...(nodes.length - 1 <= EXCHANGE_PERMITS ? lostPermits(state) : []).map(
      (lost) => `P11, P13: node ${index}: ${lost}`,
    ),
  ]);

interface OnOffer {
  /** Offers until it happens; 0: never. */
  left: number;
  run: (relay: number) => void;
}

function fail(cluster: Cluster, random: Random, onOffer: OnOffer, leaps: { leftMs: number }): void {
  const node = random.int(cluster.nodes.length);
  const other = (node + 1 + random.int(cluster.nodes.length - 1)) % cluster.nodes.length;
  const restartLater = (index: number): void => {
    if (!cluster.node(index).isAlive()) return;
    cluster.kill(index);
    cluster.clock.after(random.between(...DOWN_MS), () => cluster.restart(index));
  };
  const ways = [
    () => cluster.cutLink(node, other),
    () => cluster.cutLink(node, other, NOTICE_MS),
    () => cluster.network.stall(node, other, random.between(...STANDSTILL_MS)),
    () => {
      const process = cluster.node(node);
      process.freeze();
      cluster.clock.after(random.between(...STANDSTILL_MS), () => process.thaw());
    },
    () => restartLater(node),
    () => {
      if (cluster.node(node).isAlive())
        cluster.crash(node, random.between(1, 60), random.int(5), random.between(...DOWN_MS));
    },
    () => {
      const ms = random.int(leaps.leftMs);
      leaps.leftMs -= ms;
      cluster.node(node).leap(ms);
    },
    () => {
      onOffer.left = random.between(1, 3);
      // With the offer on its way, or before it has left.
      const delayMs = random.int(20);
      onOffer.run = (relay) => cluster.clock.after(delayMs, () => restartLater(relay));
    },
  ];
  ways[random.int(ways.length)]?.();
}

function submitSome(cluster: Cluster, random: Random, nonce: number, { submit }: Submissions): void {
  const node = random.int(cluster.nodes.length);
  if (!cluster.node(node).isAlive()) return;
  const fee = BigInt(random.between(1, 100));
  submit(cluster, node, { fee, sender: accountOf(node), nonce, verdict: "valid", salt: nonce });
}

/** Who has fewer peers than it wants and there are. */
const lonely = ({ nodes }: Cluster): readonly string[] =>
  nodes.flatMap(({ index, state: { peers, config } }) => {
    const live = [...peers.values()].filter((peer) => peer.live !== null).length;
    const wanted = Math.min(config.peersMin, nodes.length - 1);
    return live >= wanted ? [] : [`node ${index} has ${live} of ${wanted} peers`];
  });
