import {
  ADMISSION_IP_BURST,
  ADMISSION_IP_PER_SECOND,
  HALF_OPEN_PER_GROUP_MAX,
  SIGNAL_REPLY_TIMEOUT_MS,
} from "../../core/limits.ts";
import type { SignalOutcome } from "../../core/services.ts";
import { type Config, DEFAULT_ADMISSION } from "../../core/state.ts";
import type { Cluster, ClusterObserver } from "../simulator.ts";
import { postOffer } from "../stranger.ts";
import { createWatched } from "../watched.ts";
import type { Trial } from "./behaviour.ts";

/** 3.2: sound offers of many keys that come to nothing. What they cost is counted at the network and at the sender. */

const KEYS = 16;
const RATE_LIMITED = 429;
/** Reading, checking and answering take so long that several offers are under way at once. */
const SERVICE_MS = [0, 30] as const;
/** Every attempt has ended by then, and its transport too. */
const OVER_MS = SIGNAL_REPLY_TIMEOUT_MS + 3_000;

interface Siege {
  readonly cluster: Cluster;
  /** With the key of this number. */
  readonly post: (key: number, remoteAddress: string) => void;
  readonly outcomes: readonly SignalOutcome[];
  /** Connection objects that were there at once. */
  readonly mostOpen: () => number;
  /** Waits until nothing can come any more. */
  readonly end: () => readonly string[];
}

interface Place {
  readonly seed: number;
  readonly observers: readonly ClusterObserver[];
}

/** @param friends nodes that run; of the others there are only the keys */
function besiege({ seed, observers }: Place, config: Partial<Config>, friends = 0): Siege {
  const outcomes: SignalOutcome[] = [];
  let [posted, mostOpen] = [0, 0];
  const { cluster } = createWatched({
    nodes: 1 + friends + KEYS,
    seed,
    link: { serviceMs: SERVICE_MS },
    configOf: (index) => (index === 0 ? config : {}),
    observers: [
      ...observers,
      {
        after: () => {
          mostOpen = Math.max(mostOpen, cluster.network.open());
        },
      },
    ],
  });
  for (let key = 0; key < KEYS; key++) cluster.kill(1 + friends + key);
  return {
    cluster,
    outcomes,
    mostOpen: () => mostOpen,
    post: (key, remoteAddress) => {
      const from = cluster.identity(1 + friends + (key % KEYS));
      const offer = { to: 0, from, signer: from, number: posted++, remoteAddress };
      postOffer(cluster, offer, (outcome) => outcomes.push(outcome));
    },
    end: () => {
      cluster.runFor(OVER_MS);
      const answered = outcomes.filter(({ tag }) => tag !== "failed").length;
      const left = cluster.node(0).state.attempts.size - friends;
      return [
        ...(answered === posted ? [] : [`P06: ${answered} of ${posted} offers were answered`]),
        ...(cluster.web.unanswered() === 0 ? [] : [`P06: ${cluster.web.unanswered()} were left to time out`]),
        ...(left === 0 ? [] : [`P06: ${left} attempts are left`]),
      ];
    },
  };
}

const atMost = (what: string, found: number, most: number): readonly string[] =>
  found <= most ? [] : [`${what}: ${found}, and at most ${most} are allowed`];

function oneAddress(place: Place): readonly string[] {
  const { cluster, post, outcomes, end } = besiege(place, {});
  const [offers, everyMs] = [40, cluster.random.between(50, 400)];
  for (let number = 0; number < offers; number++) {
    post(number, "50.0.0.1");
    cluster.runFor(everyMs);
  }
  const problems = end();
  const isLimited = (outcome: SignalOutcome): boolean =>
    outcome.tag === "refused" && outcome.status === RATE_LIMITED;
  const passed = outcomes.filter((outcome) => !isLimited(outcome)).length;
  // One more: the last token may have come while the last offers were on their way.
  const most = ADMISSION_IP_BURST + Math.ceil((ADMISSION_IP_PER_SECOND * offers * everyMs) / 1_000) + 1;
  return [...problems, ...atMost("P06: offers of one address that were looked at", passed, most)];
}

function oneGroup(place: Place): readonly string[] {
  const { post, mostOpen, end } = besiege(place, {});
  for (let key = 0; key < KEYS; key++) post(key, `60.0.0.${key + 1}`);
  return [...end(), ...atMost("P06: half-open for one group", mostOpen(), HALF_OPEN_PER_GROUP_MAX)];
}

function manyGroups(place: Place): readonly string[] {
  const halfOpenMax = KEYS / 2;
  const { post, mostOpen, end } = besiege(place, { admission: { ...DEFAULT_ADMISSION, halfOpenMax } });
  for (let key = 0; key < KEYS; key++) post(key, `70.0.${key}.1`);
  return [...end(), ...atMost("P06: half-open in all", mostOpen(), halfOpenMax)];
}

/** A newer offer of a key takes the place of its older one, which is answered all the same. */
function twoOfEachKey(place: Place): readonly string[] {
  const { cluster, post, mostOpen, end } = besiege(place, {});
  for (let key = 0; key < KEYS; key++) {
    post(key, `80.0.${key}.1`);
    cluster.runFor(cluster.random.int(40));
    post(key, `80.1.${key}.1`);
    cluster.runFor(cluster.random.int(40));
  }
  return [...end(), ...atMost("P06: half-open", mostOpen(), 2 * KEYS)];
}

/** Of eight slots two are kept for our own dials, and who dials leaves the less to others (P25, P34). */
function fewSlots(place: Place): readonly string[] {
  return [0, 3].flatMap((friends) => {
    const [peersMax, reserve] = [8, 2];
    const { cluster, post, mostOpen, end } = besiege(place, { peersMax }, friends);
    for (let friend = 1; friend <= friends; friend++) cluster.dial(0, friend);
    if (friends > 0) cluster.runUntilQuiet();
    for (let key = 0; key < KEYS; key++) post(key, `90.0.${key}.1`);
    const problems = end();
    // Of a connection with a friend both ends are counted.
    const incoming = mostOpen() - 2 * friends;
    return [
      ...problems,
      ...atMost("P34: incoming connections", incoming, Math.min(peersMax - reserve, peersMax - friends)),
    ];
  });
}

export const OFFER_TRIALS: readonly Trial[] = [
  {
    name: "a flood of offers",
    play: (seed, observers = []) =>
      [oneAddress, oneGroup, manyGroups, twoOfEachKey, fewSlots].flatMap((play) => play({ seed, observers })),
  },
];
