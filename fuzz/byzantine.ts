import type { PeerId } from "../core/ids.ts";
import { type Reason, type Rejection, severity } from "../core/reasons.ts";
import type { Behaviour, Needs } from "./byzantine/behaviour.ts";
import { CONTROL_LIES } from "./byzantine/control-lies.ts";
import { FLOOD_LIES } from "./byzantine/floods.ts";
import { FULL_POOL_LIES } from "./byzantine/full-pool-lies.ts";
import { createLiar, type LiarProcess } from "./byzantine/liar.ts";
import { POOL_LIES } from "./byzantine/pool-lies.ts";
import { RPC_LIES } from "./byzantine/rpc-lies.ts";
import { SIGNAL_LIES } from "./byzantine/signal-lies.ts";
import { STREAM_LIES } from "./byzantine/stream-lies.ts";
import { TIP_LIES } from "./byzantine/tip-lies.ts";
import { createChecker } from "./checker.ts";
import { brokenPromises } from "./promises.ts";
import { UNLIMITED } from "./scenario-arbitrary.ts";
import { accountOf, type SimTransaction } from "./sim-items.ts";
import { type Cluster, type ClusterObserver, createCluster } from "./simulator.ts";
import { createSubmissions, type Submissions } from "./submissions.ts";

/** Every way to break the protocol that is tried, or to be of no use within it. Any of them may be put on any node. */
export const BEHAVIOURS: readonly Behaviour[] = [
  ...CONTROL_LIES,
  ...POOL_LIES,
  ...FULL_POOL_LIES,
  ...TIP_LIES,
  ...RPC_LIES,
  ...STREAM_LIES,
  ...FLOOD_LIES,
  ...SIGNAL_LIES,
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

export interface LiarPlan {
  readonly node: number;
  /** All of them on the same connections: what one changes the next is given. */
  readonly behaviours: readonly Behaviour[];
  /** The honest nodes that it dials; all if nothing is said. */
  readonly victims?: readonly number[];
}

export interface ByzantineResult {
  readonly cluster: Cluster;
  readonly liars: readonly LiarResult[];
  /** What the honest nodes have not kept of section 7.4, while the liars were there or after they had left. */
  readonly broken: readonly string[];
}

export interface LiarResult extends LiarPlan {
  /** How connections with it ended, on the honest side, and what its offers were answered with. */
  readonly endings: readonly LiarEnding[];
  readonly rejections: readonly Rejection[];
  readonly notes: ReadonlyMap<string, number>;
}

export interface LiarEnding {
  readonly honest: number;
  readonly by: "us" | "them" | "world";
  readonly reason: Reason;
}

/** In each some submit, and somebody may make a block. */
const ROUNDS = 3;
const ROUND_MS = 3_000;
const SUBMITTING_CHANCE = 0.3;
/** Longer than every deadline by which silence is noticed: a Pong takes 20 s, a stream 30 s. */
const SETTLING_MS = 40_000;
/** Whose transactions the honest nodes hold from the beginning. */
const EARLY_SENDER = 500;
/** A violation is found out at once, and its key stays banned. */
const QUICK_SETTLING_MS = 15_000;
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
  const endings: (LiarEnding & { readonly peerId: PeerId })[] = [];
  const submissions = createSubmissions();
  const checker = createChecker((node) => cluster.chain(node).judged, isLiar);
  const needs = plans.flatMap(({ behaviours }) => behaviours.flatMap(needsOf));
  const capacity = Math.min(UNLIMITED, ...needs.map((need) => need.capacity ?? UNLIMITED));
  const cluster: Cluster = createCluster({
    nodes,
    seed,
    config: { capacity },
    observers: [checker, noting(endings), submissions.observer, ...observers],
    chain: { slotsPerEpoch: SLOTS_PER_EPOCH, transactionsMax: 4 },
  });
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
    submit(cluster, honest[0] ?? 0, EARLY_SENDER, number, submissions);
  cluster.runUntilQuiet();
  for (const [number, { victims = honest }] of plans.entries())
    for (const to of victims) liars[number]?.dial(to);
  for (let round = 0; round < rounds; round++) happen(cluster, honest, round, submissions);
  const isQuick = plans.every((plan) => reasonsOf(plan).every(isViolation));
  cluster.runFor(isQuick ? QUICK_SETTLING_MS : SETTLING_MS);
  const seen = {
    cluster: { ...cluster, nodes: honest.map(cluster.node) },
    checker,
    submitted: submissions.all,
  };
  const ended = [...endings];
  const brokenWith = brokenPromises(seen).map((problem) => `with liars: ${problem}`);
  for (const liar of liars) liar.leave();
  cluster.runUntilQuiet();
  const brokenAfter = brokenPromises(seen).map((problem) => `after them: ${problem}`);
  return {
    cluster,
    broken: [...brokenWith, ...brokenAfter],
    liars: plans.map((plan, number) => ({ ...plan, ...resultOf(cluster, plan, liars[number], ended) })),
  };
}

/**
 * What an honest side may say when it ends a connection with this liar; null: it may not end it. A liar with several
 * behaviours is ended for the first that is found out.
 */
export const reasonsOf = ({ behaviours }: LiarPlan): readonly (Reason | null)[] => [
  ...new Set(behaviours.map((behaviour) => (behaviour.place === "connection" ? behaviour.endsIn : null))),
];

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

const noting = (endings: (LiarEnding & { readonly peerId: PeerId })[]): ClusterObserver => ({
  after: ({ index }, _input, { state, actions }) => {
    for (const action of actions) {
      // Connections that were not ready have no other end than this.
      if (action.type === "connection/disconnect") {
        const peerId = state.attempts.get(action.attemptId)?.peerId ?? null;
        if (peerId !== null) endings.push({ honest: index, by: "us", reason: action.reason, peerId });
      } else if (action.type === "connection/ended" && action.by !== "us") {
        const { by, reason, peerId } = action;
        endings.push({ honest: index, by, reason, peerId });
      }
    }
  },
});

function resultOf(
  cluster: Cluster,
  { node }: LiarPlan,
  liar: LiarProcess | undefined,
  endings: readonly (LiarEnding & { readonly peerId: PeerId })[],
): Pick<LiarResult, "endings" | "rejections" | "notes"> {
  const { peerId: of } = cluster.identity(node);
  return {
    endings: endings
      .filter(({ peerId, reason }) => peerId === of && severity(reason) !== "neutral")
      .map(({ honest, by, reason }) => ({ honest, by, reason })),
    rejections: liar?.rejections ?? [],
    notes: liar?.notes ?? new Map(),
  };
}
