import type { PeerId } from "../core/ids.ts";
import { type Reason, severity } from "../core/reasons.ts";
import { ATTEMPT_LIES } from "./byzantine/attempt-lies.ts";
import type { Behaviour, Needs } from "./byzantine/behaviour.ts";
import { CONTROL_LIES } from "./byzantine/control-lies.ts";
import { type LiarEnding, type LiarPlan, type LiarResult, reasonsOf } from "./byzantine/ends.ts";
import { FLOOD_LIES } from "./byzantine/floods.ts";
import { FULL_POOL_LIES } from "./byzantine/full-pool-lies.ts";
import { createLaws } from "./byzantine/laws.ts";
import { createLiar, type LiarProcess } from "./byzantine/liar.ts";
import { POOL_LIES } from "./byzantine/pool-lies.ts";
import { RELAY_LIES } from "./byzantine/relay-lies.ts";
import { RPC_LIES } from "./byzantine/rpc-lies.ts";
import { SIGNAL_LIES } from "./byzantine/signal-lies.ts";
import { SLOW_LIES } from "./byzantine/slow-lies.ts";
import { STREAM_LIES } from "./byzantine/stream-lies.ts";
import { TIP_LIES } from "./byzantine/tip-lies.ts";
import { brokenPromises } from "./promises.ts";
import { UNLIMITED } from "./scenario-arbitrary.ts";
import { accountOf, type SimTransaction } from "./sim-items.ts";
import type { Cluster, ClusterObserver } from "./simulator.ts";
import { createSubmissions, type Submissions } from "./submissions.ts";
import { createWatched } from "./watched.ts";

/** Every way to break the protocol that is tried, or to be of no use within it. Any of them may be put on any node. */
export const BEHAVIOURS: readonly Behaviour[] = [
  ...CONTROL_LIES,
  ...POOL_LIES,
  ...FULL_POOL_LIES,
  ...TIP_LIES,
  ...RPC_LIES,
  ...STREAM_LIES,
  ...RELAY_LIES,
  ...SLOW_LIES,
  ...FLOOD_LIES,
  ...SIGNAL_LIES,
  ...ATTEMPT_LIES,
];

export interface ByzantineOptions {
  readonly seed: number;
  /** Honest nodes and liars together. */
  readonly nodes: number;
  readonly liars: readonly LiarPlan[];
  /** How long the honest nodes are busy. */
  readonly rounds?: number;
  readonly observers?: readonly ClusterObserver[];
}

export interface ByzantineResult {
  readonly cluster: Cluster;
  readonly liars: readonly LiarResult[];
  /** What the honest nodes have not kept of section 7.4, while the liars were there or after they had left. */
  readonly broken: readonly string[];
}

/** In each some submit, and somebody may make a block. */
const ROUNDS = 3;
const ROUND_MS = 3_000;
const SUBMITTING_CHANCE = 0.3;
/** Longer than every deadline by which silence is noticed: a Pong takes 20 s, a stream 30 s. */
const SETTLING_MS = 40_000;
/** Whose transactions the honest nodes hold from the beginning: one each, so that a block takes no more than it has. */
const EARLY_SENDERS = 500;
/** A violation is found out at once, and its key stays banned. */
const QUICK_SETTLING_MS = 15_000;
const RETURNING_MS = 2_000;
/** More than there are. */
const PEERS_MANY = 99;
/** All of a run is in one epoch, so that of two tips the higher is better. */
const SLOTS_PER_EPOCH = 7_200;

/**
 * A ring of honest nodes, and liars that dial them. The liars vanish in the end: before
 * and after that the honest must agree. Throws at the first step in which an honest node breaks a law or accuses
 * another one.
 */
export function playByzantine({
  seed,
  nodes,
  liars: plans,
  rounds = ROUNDS,
  observers = [],
}: ByzantineOptions): ByzantineResult {
  const isLiar = (node: number): boolean => plans.some((plan) => plan.node === node);
  const seenOf = createSeen();
  const submissions = createSubmissions();
  const needs = plans.flatMap(({ behaviours }) => behaviours.flatMap(needsOf));
  const capacity = Math.min(UNLIMITED, ...needs.map((need) => need.capacity ?? UNLIMITED));
  const victims = plans.flatMap((plan) => plan.victims ?? []);
  const isSeeking = (node: number): boolean =>
    !isLiar(node) &&
    needs.some(({ peersMin }) => peersMin === (victims.includes(node) ? "victims" : "others"));
  const { cluster, checker } = createWatched(
    {
      nodes,
      seed,
      config: { capacity },
      configOf: (node) => ({ peersMin: isSeeking(node) ? PEERS_MANY : 0 }),
      observers: [createLaws(isLiar), seenOf.observer, submissions.observer, ...observers],
      chain: {
        slotsPerEpoch: SLOTS_PER_EPOCH,
        transactionsMax: 4,
        isBatchOnly: needs.some((need) => need.isBatchOnly === true),
      },
    },
    isLiar,
  );
  const liars = plans.map(({ node, behaviours }) =>
    createLiar(cluster, { index: node, seed: seed + 1_000 * node, behaviours }),
  );
  const honest = cluster.nodes.filter(({ index }) => !isLiar(index)).map(({ index }) => index);
  for (const [place, a] of honest.entries()) {
    const b = honest[(place + 1) % honest.length];
    if (b !== undefined && a !== b) cluster.dial(a, b);
  }
  const items = Math.max(0, ...needs.map((need) => need.items ?? 0));
  for (let number = 0; number < items; number++)
    submit(cluster, honest[0] ?? 0, EARLY_SENDERS + number, 0, submissions);
  cluster.runUntilQuiet();
  for (const [number, { node, behaviours, victims = honest }] of plans.entries()) {
    for (const to of victims) {
      if (behaviours.some(isReply)) cluster.dial(to, node);
      if (!behaviours.every(isReply)) liars[number]?.dial(to);
    }
  }
  for (let round = 0; round < rounds; round++) happen(cluster, honest, round, submissions);
  const isQuick = plans.every((plan) => reasonsOf(plan).every(isViolation));
  const settlingMs = plans.flatMap(({ behaviours }) => behaviours.map(settlingMsOf));
  cluster.runFor(isQuick ? QUICK_SETTLING_MS : Math.max(...settlingMs));
  const seen = {
    cluster: { ...cluster, nodes: honest.map(cluster.node) },
    checker,
    submitted: submissions.all,
  };
  const results = plans.map((plan, number) => ({
    ...plan,
    ...seenOf.resultOf(cluster, plan, liars[number]),
    punishers: honest.filter((index) =>
      cluster.node(index).state.offenders.has(cluster.identity(plan.node).peerId),
    ).length,
  }));
  const brokenWith = brokenPromises(seen).map((problem) => `with liars: ${problem}`);
  // Whoever is banned comes back at once, and must be refused (laws.ts).
  for (const [number, { victims = honest }] of plans.entries())
    for (const to of isQuick ? victims : []) liars[number]?.dial(to);
  if (isQuick) cluster.runFor(RETURNING_MS);
  for (const liar of liars) liar.leave();
  cluster.runUntilQuiet();
  const brokenAfter = brokenPromises(seen).map((problem) => `after them: ${problem}`);
  const unanswered = cluster.web.unanswered();
  const silence = unanswered === 0 ? [] : [`${unanswered} offers were not answered`];
  return { cluster, broken: [...brokenWith, ...brokenAfter, ...silence], liars: results };
}

const isViolation = (reason: Reason | null): boolean => reason !== null && severity(reason) === "violation";

function happen(cluster: Cluster, honest: readonly number[], round: number, submissions: Submissions): void {
  const { random } = cluster;
  for (const node of honest) {
    if (round > 0 && !random.chance(SUBMITTING_CHANCE)) continue;
    submit(cluster, node, node, 3 * round + random.int(3), submissions);
  }
  cluster.runFor(random.between(ROUND_MS / 2, ROUND_MS));
  const producer = honest[random.int(honest.length)];
  if (producer !== undefined && random.chance(0.5)) cluster.produce(producer);
}

function submit(
  cluster: Cluster,
  node: number,
  sender: number,
  nonce: number,
  submissions: Submissions,
): void {
  const transaction: SimTransaction = {
    fee: BigInt(cluster.random.between(1, 100)),
    sender: accountOf(sender),
    nonce,
    verdict: "valid",
    salt: nonce,
  };
  submissions.submit(cluster, node, transaction);
}

const needsOf = (behaviour: Behaviour): readonly Needs[] =>
  behaviour.place === "connection" && behaviour.needs !== undefined ? [behaviour.needs] : [];

const settlingMsOf = (behaviour: Behaviour): number =>
  behaviour.place === "connection" ? (behaviour.settlingMs ?? SETTLING_MS) : SETTLING_MS;

/** It lies when it is dialed. */
const isReply = (behaviour: Behaviour): boolean =>
  behaviour.place === "attempt" && behaviour.label === "pollen/answer/1";

/** What honest nodes do with their connections. */
function createSeen() {
  const endings: (LiarEnding & { readonly peerId: PeerId })[] = [];
  const ready: PeerId[] = [];
  const observer: ClusterObserver = {
    after: ({ index }, _input, { state, actions }) => {
      for (const action of actions) {
        // Connections that were not ready have no other end than this.
        if (action.type === "connection/disconnect") {
          const peerId = state.attempts.get(action.attemptId)?.peerId ?? null;
          if (peerId !== null) endings.push({ honest: index, by: "us", reason: action.reason, peerId });
        } else if (action.type === "connection/ended" && action.by !== "us") {
          const { by, reason, peerId } = action;
          endings.push({ honest: index, by, reason, peerId });
        } else if (action.type === "connection/ready") {
          ready.push(action.peerId);
        }
      }
    },
  };
  return {
    observer,
    resultOf: (cluster: Cluster, { node }: LiarPlan, liar: LiarProcess | undefined) => {
      const { peerId: of } = cluster.identity(node);
      return {
        endings: endings
          .filter(({ peerId, reason }) => peerId === of && severity(reason) !== "neutral")
          .map(({ honest, by, reason }) => ({ honest, by, reason })),
        rejections: [...(liar?.rejections ?? [])],
        notes: new Map(liar?.notes),
        connected: ready.filter((peerId) => peerId === of).length,
      };
    },
  };
}
