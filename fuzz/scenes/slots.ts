import { OUTGOING_RESERVE } from "../../core/limits.ts";
import type { State } from "../../core/state.ts";
import { createRandom } from "../sim-random.ts";
import type { ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";

const MINUTE_MS = 60_000;
const DIALERS = 8;
/** One slot in four is for the node's own dials. */
const PEERS_MAX = [4, 7] as const;

/**
 * More peers want to be connected with one node than it has slots (P25, P34). At no time does it hold more, half-open
 * ones included; its own dial finds room; and when somebody leaves, somebody else gets in.
 */
export function playSlots(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  const peersMax = random.between(...PEERS_MAX);
  const incomingMax = peersMax - Math.min(OUTGOING_RESERVE, Math.floor(peersMax / 4));
  const problems = new Set<string>();
  const { cluster } = createWatched({
    nodes: DIALERS + 2,
    seed,
    configOf: (index) => (index === HUB ? { peersMax } : {}),
    observers: [
      ...observers,
      {
        after: ({ index }, _input, { state }) => {
          if (index !== HUB) return;
          if (state.peers.size > peersMax) problems.add(`P34: ${state.peers.size} of ${peersMax} peers`);
          const incoming = incomingOf(state);
          if (incoming > incomingMax) problems.add(`P25: ${incoming} of ${incomingMax} came in`);
        },
      },
    ],
  });
  const wanted = DIALERS + 1;
  for (let dialer = 1; dialer <= DIALERS; dialer++) {
    cluster.dial(dialer, HUB);
    cluster.runFor(random.int(300));
  }
  cluster.runFor(MINUTE_MS);
  cluster.dial(HUB, wanted);
  cluster.runFor(MINUTE_MS);
  const { peerId } = cluster.identity(wanted);
  if (cluster.node(HUB).state.peers.get(peerId)?.live == null) problems.add("P25: no room for an own dial");
  const inside = (): readonly number[] =>
    Array.from({ length: DIALERS }, (_, dialer) => dialer + 1).filter(
      (dialer) => cluster.node(HUB).state.peers.get(cluster.identity(dialer).peerId)?.live != null,
    );
  const before = inside();
  if (before.length !== incomingMax) problems.add(`P25: ${before.length} of ${incomingMax} slots are used`);
  for (const dialer of before.slice(random.int(before.length))) cluster.kill(dialer);
  // Those who were refused come again, after ten minutes at the latest.
  cluster.runFor(15 * MINUTE_MS);
  const waiting = DIALERS - before.length;
  const after = inside();
  if (after.filter((dialer) => !before.includes(dialer)).length === 0 && waiting > 0)
    problems.add("P34: a slot that became free stays empty");
  return [...problems];
}

const HUB = 0;

/** As whoever counts connections from outside would: an own dial is what has not come in. */
const incomingOf = ({ peers }: State): number =>
  [...peers.values()].filter(({ live, dialing }) => dialing === null && live?.direction !== "outgoing")
    .length;
