import { setTimeout as sleep } from "node:timers/promises";
import { ascii, toHex } from "../../core/bytes.ts";
import { itemHash, sha256Hex } from "../../core/hash.ts";
import { createRng, drawInt } from "../../core/rng.ts";
import { AdminError } from "../admin-client.ts";
import { TEST_ACCOUNTS, testAccountKey } from "../chain/genesis.ts";
import { signTransfer } from "../chain/transfer.ts";
import { rawPublicKey } from "../ed25519.ts";
import type { DevnetNode } from "./network.ts";
import type { Propagation } from "./propagation.ts";

export interface FeedOptions {
  readonly nodes: readonly DevnetNode[];
  /** Transactions per second, of all nodes together. */
  readonly ratePerSecond: number;
  /** null: until the signal. */
  readonly durationMs: number | null;
  readonly seed: number;
  readonly chainId: string;
  readonly propagation: Propagation;
  /** Ends the feed; what was begun is finished, if that does not take long. */
  readonly signal: AbortSignal;
}

export interface Feed {
  readonly counts: () => FeedCounts;
  /** Settles when nothing is on its way to a node any more. */
  readonly ended: Promise<void>;
}

export interface FeedCounts {
  readonly submitted: number;
  readonly accepted: number;
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
  const { nodes, propagation, durationMs, signal } = options;
  const startMs = performance.now();
  const holder = { rng: createRng(sha256Hex(ascii(`pollen devnet feed ${options.seed}`))) };
  const feeders = nodes.map((node, index) => createFeeder(node, index, options.chainId));
  let submitted = 0;
  let accepted = 0;
  let firstRefusal: string | null = null;

  let overdue = 0;
  let endMs: number | undefined;
  const elapsedMs = (): number => Math.min((endMs ?? performance.now()) - startMs, durationMs ?? Infinity);
  const due = (): number => Math.round((elapsedMs() * options.ratePerSecond) / 1_000);

  const feedOne = async (index: number): Promise<void> => {
    const feeder = feeders[index % feeders.length];
    if (feeder === undefined) return;
    const bytes = await feeder.sign(BigInt(FEE_MIN + drawInt(holder, FEES)));
    const hash = itemHash(bytes);
    submitted += 1;
    propagation.submitted(hash, index % feeders.length);
    try {
      await feeder.node.client.submit(bytes);
      accepted += 1;
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
      firstRefusal ??= `${feeder.node.name}: ${error.message}`;
      // Without a clear answer it may be in the pool all the same.
      if (error.status !== null && error.status < 500) propagation.refused(hash);
    }
  };

  const run = async (): Promise<void> => {
    const open = new Set<Promise<void>>();
    const openMax = OPEN_PER_NODE_MAX * nodes.length;
    let begun = 0;
    const lastMs = startMs + (durationMs ?? Infinity) + CATCH_UP_MS;
    while (!signal.aborted && performance.now() < lastMs) {
      while (begun < due() && open.size < openMax) {
        const one = feedOne(begun).finally(() => open.delete(one));
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
    counts: () => ({ submitted, accepted, overdue, firstRefusal, elapsedMs: elapsedMs() }),
    ended: run(),
  };
}

/** Accounts are taken from the last one downward: the first ones are left to `pollen tx send`. */
const accountOf = (index: number): number => TEST_ACCOUNTS - 1 - index;

const STEP_MS = 5;
/** Behind by more than this many unanswered submissions, a node is waited for. */
const OPEN_PER_NODE_MAX = 32;
/** What is due at the end of the time may take this much longer. */
const CATCH_UP_MS = 5_000;
/** Whoever interrupts does not want to wait for a node that hangs. */
const INTERRUPTED_WAIT_MS = 2_000;
const AMOUNT = 1n;
/** Spread over several fee classes, so that priorities differ. */
const FEE_MIN = 100;
const FEES = 900;

interface Feeder {
  readonly node: DevnetNode;
  readonly sign: (fee: bigint) => Promise<Uint8Array>;
}

function createFeeder(node: DevnetNode, index: number, chainId: string): Feeder {
  const key = testAccountKey(accountOf(index));
  const to = toHex(rawPublicKey(testAccountKey(0)));
  let nonce = 0;
  return {
    node,
    sign: (fee) => {
      nonce += 1;
      return signTransfer(key, chainId, { to, amount: AMOUNT, fee, nonce });
    },
  };
}
