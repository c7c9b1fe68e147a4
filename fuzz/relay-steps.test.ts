import { describe, expect, test } from "vitest";
import { areConnected, lostPermits, underWay } from "./relay-flows.ts";
import type { Cluster, ClusterObserver } from "./simulator.ts";
import { createWatched } from "./watched.ts";

/**
 * P13: dialer, relay and listener, all of them production nodes. After each message of the signaling channels, from the
 * first permit on, something fails; from then on no other node is busy for longer than 30 s on end, and when all is well
 * again a discovery by the same relay succeeds.
 */

const [RELAY, DIALER, LISTENER] = [0, 1, 2] as const;
const NODES = [RELAY, DIALER, LISTENER];
const NAMES = ["relay", "dialer", "listener"] as const;
const LINKS = [
  [RELAY, DIALER],
  [RELAY, LISTENER],
  [DIALER, LISTENER],
] as const;

const SECOND_MS = 1_000;
/** P13. Nothing is added for the time until a failure is noticed: a Ping that is not answered is part of it. */
const IDLE_AFTER_MS = 30 * SECOND_MS;
const LOOK_MS = 250;
const BROKEN_MS = 60 * SECOND_MS;
/** A silently broken link is noticed by the transport as late as this. */
const NOTICE_MS = 13 * SECOND_MS;
/** The relay is dialed again within a minute, and the listener's next permit may take 90 s. */
const RECOVERY_MS = 300 * SECOND_MS;
/** Signals of two clocks that are a minute apart are stale. */
const LEAP_MS = 59 * SECOND_MS;
/** Longer than a permit is unusable. */
const CALM_MS = 120 * SECOND_MS;
const CONNECTED_MS = 20 * SECOND_MS;

interface Failure {
  readonly name: string;
  /** Nothing is expected of it, and of what it does. */
  readonly broken: number | null;
  readonly happen: (cluster: Cluster) => void;
  readonly heal: (cluster: Cluster) => void;
}

const FAILURES: readonly Failure[] = [
  ...NODES.flatMap((node): readonly Failure[] => [
    {
      name: `the ${NAMES[node]} is killed`,
      broken: node,
      happen: (cluster) => cluster.kill(node),
      heal: (cluster) => cluster.restart(node),
    },
    {
      name: `the ${NAMES[node]} stands still`,
      broken: node,
      happen: (cluster) => cluster.node(node).freeze(),
      heal: (cluster) => cluster.node(node).thaw(),
    },
    {
      name: `the ${NAMES[node]} stands still for 12 s`,
      broken: node,
      happen: (cluster) => {
        const process = cluster.node(node);
        process.freeze();
        cluster.clock.after(12 * SECOND_MS, () => process.thaw());
      },
      heal: () => {},
    },
    {
      name: `the clock of the ${NAMES[node]} leaps`,
      broken: null,
      happen: (cluster) => cluster.node(node).leap(LEAP_MS),
      heal: () => {},
    },
  ]),
  ...LINKS.flatMap(([a, b]): readonly Failure[] => [
    {
      name: `${NAMES[a]} and ${NAMES[b]} lose each other`,
      broken: null,
      happen: (cluster) => cluster.cutLink(a, b),
      heal: () => {},
    },
    {
      name: `${NAMES[a]} and ${NAMES[b]} lose each other silently`,
      broken: null,
      happen: (cluster) => cluster.cutLink(a, b, NOTICE_MS),
      heal: () => {},
    },
    ...[
      [a, b],
      [b, a],
    ].flatMap(([from = 0, to = 0]) =>
      [18, 60].map((seconds) => ({
        name: `for ${seconds} s nothing of the ${NAMES[from]} reaches the ${NAMES[to]}`,
        broken: null,
        happen: (cluster: Cluster) => cluster.network.stall(from, to, seconds * SECOND_MS),
        heal: () => {},
      })),
    ),
  ]),
];

interface Run {
  readonly cluster: Cluster;
  /** Messages on the signaling channels. */
  readonly messages: () => number;
}

/** @param hears is called with each message while it is being sent: what stalls a link then stalls the message too */
function begin(seed: number, hears: (cluster: Cluster, count: number) => void): Run {
  let count = 0;
  const observer: ClusterObserver = {
    sent: (_from, _attemptId, _to, channel) => {
      if (channel.startsWith("signaling/")) hears(cluster, ++count);
    },
  };
  const { cluster } = createWatched({
    nodes: NODES.length,
    seed,
    configOf: (index) => ({ peersMin: index === DIALER ? 2 : 0 }),
    observers: [observer],
  });
  cluster.dial(LISTENER, RELAY);
  cluster.runFor(3 * SECOND_MS);
  cluster.dial(DIALER, RELAY);
  return { cluster, messages: () => count };
}

/** Of a run in which nothing fails, until all three are connected. */
function messagesOf(seed: number): number {
  const { cluster, messages } = begin(seed, () => {});
  cluster.runFor(CONNECTED_MS);
  if (!areConnected(cluster, DIALER, LISTENER)) throw new Error("dialer and listener are not connected");
  return messages();
}

/** @returns what is not as P13 wants it */
function play(seed: number, step: number, { broken, happen, heal }: Failure): readonly string[] {
  let failedMs: number | null = null;
  const { cluster } = begin(seed, (running, count) => {
    if (count !== step) return;
    failedMs = running.clock.nowMs;
    // Nobody dies within a step; a link that is stalled now takes this message with it.
    if (broken === null) happen(running);
    else running.clock.after(0, () => happen(running));
  });
  while (failedMs === null) cluster.runFor(1);
  const problems = new Set<string>();
  const since = new Map<string, number>();
  for (const endMs = cluster.clock.nowMs + BROKEN_MS; cluster.clock.nowMs < endMs; ) {
    const { nowMs } = cluster.clock;
    const busy = NODES.filter((node) => node !== broken).flatMap((node) => {
      const things = underWay(cluster.node(node).state);
      // Over a broken link it is tried again and again: each try has to end. Without a party all has to.
      const named = broken === null ? things : things.slice(0, 1).map(() => "anything");
      return named.map((thing) => `${NAMES[node]}: ${thing}`);
    });
    for (const thing of since.keys()) if (!busy.includes(thing)) since.delete(thing);
    for (const thing of busy) {
      since.set(thing, since.get(thing) ?? nowMs);
      if (nowMs - (since.get(thing) ?? nowMs) > IDLE_AFTER_MS)
        problems.add(`the ${thing} is under way for more than ${IDLE_AFTER_MS} ms`);
    }
    cluster.runFor(LOOK_MS);
  }
  heal(cluster);
  for (const endMs = cluster.clock.nowMs + RECOVERY_MS; cluster.clock.nowMs < endMs; ) {
    cluster.runFor(SECOND_MS);
    if (LINKS.every(([a, b]) => areConnected(cluster, a, b))) break;
  }
  for (const [a, b] of LINKS)
    if (!areConnected(cluster, a, b))
      problems.add(`${NAMES[a]} and ${NAMES[b]} do not find each other again`);
  cluster.runFor(CALM_MS);
  for (const node of NODES) {
    const { state } = cluster.node(node);
    for (const thing of underWay(state)) problems.add(`the ${NAMES[node]} does not come to rest: ${thing}`);
    for (const lost of lostPermits(state)) problems.add(`the ${NAMES[node]}: ${lost}`);
  }
  return [...problems];
}

describe("P13: whatever fails at any step of a relayed flow, the others are idle in 30 s and try again", () => {
  const seed = 1;
  const steps = Array.from({ length: messagesOf(seed) }, (_, index) => index + 1);

  test("the steps are those of a flow: permits, Discover, Discovered, Accept, Offer, two Answers", () => {
    expect(steps.length).toBeGreaterThanOrEqual(14);
  });

  test.each(FAILURES.map((failure) => [failure.name, failure] as const))("P13: %s", (_name, failure) => {
    for (const step of steps) expect(play(seed, step, failure), `after message ${step}`).toEqual([]);
  });
});
