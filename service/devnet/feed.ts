import { setTimeout as sleep } from "node:timers/promises";
import { ascii, type Hex, toHex } from "../../core/bytes.ts";
import { itemHash, sha256Hex } from "../../core/hash.ts";
import { createRng, drawInt } from "../../core/rng.ts";
import { AdminError } from "../admin-client.ts";
import { TEST_ACCOUNTS, testAccountKey } from "../chain/genesis.ts";
import { signTransfer } from "../chain/transfer.ts";
import { rawPublicKey } from "../ed25519.ts";
import type { Submission } from "./fates.ts";
import type { DevnetNode } from "./network.ts";

export interface FeedOptions {
  readonly nodes: readonly Pick<DevnetNode, "name" | "client">[];
  /** Transactions per second, of all nodes together. */
  readonly ratePerSecond: number;
  /** null: until the signal. */
  readonly durationMs: number | null;
  readonly seed: number;
  readonly chainId: string;
  /** Called before a transaction is handed to the node `origin`. */
  readonly onSubmit: (submission: Submission, origin: number) => void;
  /** The node does not take it. */
  readonly onRefused: (hash: string) => void;
  /** Ends the feed; what was begun is finished, if that does not take long. */
  readonly signal: AbortSignal;
}

export interface Feed {
  readonly counts: () => FeedCounts;
  /** Nothing is submitted to this node until `resume`. */
  readonly pause: (node: number) => void;
  readonly resume: (node: number) => void;
  /** Settles when nothing is on its way to a node any more. */
  readonly ended: Promise<void>;
}

export interface FeedCounts {
  readonly submitted: number;
  readonly accepted: number;
  /** Of those, by node. */
  readonly acceptedBy: readonly number[];
  /** What the nodes did not take in time; known at the end. */
  readonly overdue: number;
  /** Why the first one that was not accepted was not. */
  readonly firstRefusal: string | null;
  readonly elapsedMs: number;
}

/**
 * Submits signed transactions to all nodes in turn. Each node is fed from an account of its own with growing
 * nonces, so no two transactions conflict. How many are due follows from the time that has passed: after a stall
 * the feed catches up, and on average the rate is exact.
 */
export function startFeed(options: FeedOptions): Feed {
  const { nodes, onSubmit, onRefused, durationMs, signal } = options;
  const startMs = performance.now();
  const holder = { rng: createRng(sha256Hex(ascii(`pollen devnet feed ${options.seed}`))) };
  const feeders = nodes.map((node, index) => createFeeder(node, index, options.chainId));
  const acceptedBy = nodes.map(() => 0);
  const paused = new Set<number>();
  let submitted = 0;
  let firstRefusal: string | null = null;

  let overdue = 0;
  let endMs: number | undefined;
  const elapsedMs = (): number => Math.min((endMs ?? performance.now()) - startMs, durationMs ?? Infinity);
  const due = (): number => Math.round((elapsedMs() * options.ratePerSecond) / 1_000);

  let turn = 0;
  /** The next node that is fed; undefined if all are paused. */
  const nextFeeder = (): Feeder | undefined => {
    for (let tries = 0; tries < feeders.length; tries++) {
      const feeder = feeders[turn % feeders.length];
      turn += 1;
      if (feeder !== undefined && !paused.has(feeder.index)) return feeder;
    }
    return undefined;
  };

  const feedOne = async ({ index, node, sign, inTurn }: Feeder): Promise<void> => {
    const { bytes, submission } = await sign(BigInt(FEE_MIN + drawInt(holder, FEES)));
    submitted += 1;
    onSubmit(submission, index);
    try {
      await inTurn(submission.nonce, () => node.client.submit(bytes));
      acceptedBy[index] = (acceptedBy[index] ?? 0) + 1;
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
      firstRefusal ??= `${node.name}: ${error.message}`;
      // Without a clear answer it may be in the pool all the same.
      if (error.status !== null && error.status < 500) onRefused(submission.hash);
    }
  };

  const run = async (): Promise<void> => {
    const open = new Set<Promise<void>>();
    const openMax = OPEN_PER_NODE_MAX * nodes.length;
    let begun = 0;
    const lastMs = startMs + (durationMs ?? Infinity) + CATCH_UP_MS;
    while (!signal.aborted && performance.now() < lastMs) {
      while (begun < due() && open.size < openMax) {
        const feeder = nextFeeder();
        if (feeder === undefined) break;
        const one = feedOne(feeder).finally(() => open.delete(one));
        open.add(one);
        begun += 1;
      }
      if (begun >= due() && elapsedMs() === durationMs) break;
      await (open.size >= openMax ? Promise.race(open) : sleep(STEP_MS));
    }
    endMs = performance.now();
    overdue = signal.aborted ? 0 : due() - begun;
    const answered = Promise.all(open);
    await (signal.aborted ? Promise.race([answered, sleep(INTERRUPTED_WAIT_MS)]) : answered);
  };

  return {
    counts: () => {
      const accepted = acceptedBy.reduce((sum, count) => sum + count, 0);
      return { submitted, accepted, acceptedBy, overdue, firstRefusal, elapsedMs: elapsedMs() };
    },
    pause: (node) => {
      paused.add(node);
    },
    resume: (node) => {
      paused.delete(node);
    },
    ended: run(),
  };
}

/** Accounts are taken from the last one downward: the first ones are left to producers and `pollen tx send`. */
const accountOf = (index: number): number => TEST_ACCOUNTS - 1 - index;

/** Of the account from which a node is fed. */
export const feedingKey = (index: number): Hex => toHex(rawPublicKey(testAccountKey(accountOf(index))));

const STEP_MS = 5;
/** Behind by more than this many unanswered submissions, a node is waited for. */
const OPEN_PER_NODE_MAX = 32;
/**
 * Of those, so many are with the node at once: where a greater nonce overtakes a lesser one by more than a moment, a
 * block may have it first, and the lesser one is void.
 */
const LANES = 4;
/** What is due at the end of the time may take this much longer. */
const CATCH_UP_MS = 5_000;
/** Whoever interrupts does not want to wait for a node that hangs. */
const INTERRUPTED_WAIT_MS = 2_000;
const AMOUNT = 1n;
/** Spread over several fee classes, so that priorities differ. */
const FEE_MIN = 100;
const FEES = 900;

interface Feeder {
  readonly index: number;
  readonly node: Pick<DevnetNode, "name" | "client">;
  readonly sign: (fee: bigint) => Promise<Signed>;
  /** Runs an action after that of LANES nonces before. */
  readonly inTurn: <T>(nonce: number, action: () => Promise<T>) => Promise<T>;
}

interface Signed {
  readonly bytes: Uint8Array;
  readonly submission: Submission;
}

function createFeeder(node: Feeder["node"], index: number, chainId: string): Feeder {
  const key = testAccountKey(accountOf(index));
  const sender = feedingKey(index);
  const to = toHex(rawPublicKey(testAccountKey(0)));
  let lastNonce = 0;
  const lanes: Promise<unknown>[] = [];
  return {
    index,
    node,
    inTurn: (nonce, action) => {
      const turn = (lanes[nonce % LANES] ?? Promise.resolve()).then(action);
      lanes[nonce % LANES] = turn.catch(() => undefined);
      return turn;
    },
    sign: async (fee) => {
      lastNonce += 1;
      const nonce = lastNonce;
      const bytes = await signTransfer(key, chainId, { to, amount: AMOUNT, fee, nonce });
      return { bytes, submission: { hash: itemHash(bytes), sender, nonce } };
    },
  };
}
