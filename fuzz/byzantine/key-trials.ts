import type { PeerId } from "../../core/ids.ts";
import type { Cluster, ClusterObserver, ClusterOptions } from "../simulator.ts";
import { createWatched } from "../watched.ts";
import { type Behaviour, saying, type Trial } from "./behaviour.ts";
import { NO_PONG } from "./control-lies.ts";
import { createLaws } from "./laws.ts";
import { createLiar, type LiarProcess } from "./liar.ts";
import { request } from "./messages.ts";

/** 3.3 and 5: what a key may do again, and when. Node 0 is honest, all others are liars. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** For a dial, and for a lie after it. */
const DIAL_MS = 10_000;

const isLiar = (node: number): boolean => node > 0;

interface Meeting {
  readonly cluster: Cluster;
  /** Who has got ready with node 0, in this order. */
  readonly ready: readonly PeerId[];
}

function meet(
  seed: number,
  nodes: number,
  observers: readonly ClusterObserver[],
  options: Partial<ClusterOptions> = {},
): Meeting {
  const ready: PeerId[] = [];
  const { cluster } = createWatched(
    {
      ...options,
      nodes,
      seed,
      observers: [
        createLaws(isLiar),
        {
          after: (_node, _input, { actions }) => {
            for (const action of actions) if (action.type === "connection/ready") ready.push(action.peerId);
          },
        },
        ...observers,
      ],
    },
    isLiar,
  );
  return { cluster, ready };
}

const violating: Behaviour = saying("a request id that skips", "7.7", "badState", ({ say }) =>
  say(request(1_000_000, { tag: "peers" })),
);

/** That nobody comes back too early is a law (laws.ts); here they try, and come back in time. */
function playPenalties(seed: number, observers: readonly ClusterObserver[] = []): readonly string[] {
  const { cluster, ready } = meet(seed, 4, observers);
  const [DIALS, IS_DIALED, IS_SILENT] = [1, 2, 3];
  const create = (index: number, behaviours: readonly Behaviour[]): LiarProcess =>
    createLiar(cluster, { index, seed: seed + index, behaviours });
  const dialing = create(DIALS, [violating]);
  create(IS_DIALED, [violating]);
  const silent = create(IS_SILENT, [NO_PONG]);
  const problems: string[] = [];
  const expect = (index: number, times: number, when: string, most = times): void => {
    const { peerId } = cluster.identity(index);
    const found = ready.filter((other) => other === peerId).length;
    if (found < times || found > most)
      problems.push(`P24: liar ${index} was connected ${found} times ${when}, not ${times}`);
  };
  const startMs = cluster.clock.nowMs;
  const dialAt = (ms: number): void => {
    cluster.runFor(startMs + ms - cluster.clock.nowMs);
    dialing.dial(0);
    cluster.dial(0, IS_DIALED);
    silent.dial(0);
    cluster.runFor(DIAL_MS);
  };
  dialAt(0);
  expect(DIALS, 1, "at first");
  expect(IS_DIALED, 1, "at first");
  for (const minutes of [2, 10, 28]) dialAt(minutes * MINUTE_MS);
  expect(IS_SILENT, 3, "before its rest was over");
  dialAt(33 * MINUTE_MS);
  // By itself it came as soon as it might.
  expect(IS_SILENT, 4, "after its rest", 6);
  silent.leave();
  for (const hours of [2, 23]) dialAt(hours * HOUR_MS);
  expect(DIALS, 1, "before its ban was over");
  expect(IS_DIALED, 1, "before its ban was over");
  dialAt(24 * HOUR_MS + MINUTE_MS);
  expect(DIALS, 2, "after its ban");
  expect(IS_DIALED, 2, "after its ban");
  return problems;
}

/** The first process is ahead in time, so that what the second signs looks older. */
const AHEAD_MS = 20_000;
/** Less than any transport takes to notice that the other side is gone. */
const REPLACED_MS = 8_000;

/** A process vanishes and another with its key dials: the probe finds nobody at the old connection, so it is replaced. */
function playSecondLife(seed: number, observers: readonly ClusterObserver[] = []): readonly string[] {
  const { cluster, ready } = meet(seed, 2, observers);
  const first = createLiar(cluster, { index: 1, seed, behaviours: [], skewMs: AHEAD_MS });
  first.dial(0);
  cluster.runFor(DIAL_MS);
  const before = ready.length;
  first.leave();
  createLiar(cluster, { index: 1, seed: seed + 1, behaviours: [] }).dial(0);
  cluster.runFor(REPLACED_MS);
  const after = ready.length;
  return before === 1 && after === 2
    ? []
    : [`P27: connected ${before} times, and ${after} with the second process: it is kept out by the first`];
}

/** All but node 0 are at addresses of one group. */
const sharedHost = (index: number): string => (index === 0 ? "20.0.0.7" : `40.1.1.${index}`);
/** Longer than a key must have been ready to be known, and than its group is shut out. */
const LONG_MS = 11 * MINUTE_MS;

/** One host makes keys as it needs them: the third that violates is the last, and its neighbours do not suffer for it. */
function playEvasion(seed: number, observers: readonly ClusterObserver[] = []): readonly string[] {
  const { cluster, ready } = meet(seed, 6, observers, { hostOf: sharedHost });
  const [NEIGHBOUR, STRANGER, EVADERS] = [1, 2, [3, 4, 5]];
  const problems: string[] = [];
  const expect = (index: number, times: number, when: string): void => {
    const found = ready.filter((other) => other === cluster.identity(index).peerId).length;
    if (found !== times)
      problems.push(`P24: node ${index} was connected ${found} times ${when}, not ${times}`);
  };
  const create = (index: number, behaviours: readonly Behaviour[]): LiarProcess =>
    createLiar(cluster, { index, seed: seed + index, behaviours });
  const neighbour = create(NEIGHBOUR, []);
  neighbour.dial(0);
  cluster.runFor(LONG_MS);
  for (const index of EVADERS) {
    create(index, [violating]).dial(0);
    cluster.runFor(DIAL_MS);
    expect(index, 1, "as a new key");
  }
  create(STRANGER, []).dial(0);
  cluster.runFor(DIAL_MS);
  expect(STRANGER, 0, "after three of its group had violated the protocol");
  expect(NEIGHBOUR, 1, "until its group was shut out");
  if (cluster.node(0).state.peers.get(cluster.identity(NEIGHBOUR).peerId)?.live == null)
    problems.push("P24: a live peer was disconnected for what its neighbours did");
  cluster.cutLink(0, NEIGHBOUR);
  cluster.runFor(MINUTE_MS);
  expect(NEIGHBOUR, 2, "while its group is shut out, though it was ready for long");
  expect(STRANGER, 0, "while its group is shut out");
  cluster.runFor(LONG_MS);
  expect(STRANGER, 1, "when its group is no longer shut out");
  return problems;
}

export const KEY_TRIALS: readonly Trial[] = [
  { name: "bans and rests", play: playPenalties },
  { name: "a second life of one key", play: playSecondLife },
  { name: "ban evasion by new keys", play: playEvasion },
];
