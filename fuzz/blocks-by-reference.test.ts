import { expect, test } from "vitest";
import { bodySchema, headerSchema } from "../core/block.ts";
import { encode } from "../core/codec/codec.ts";
import type { Hash } from "../core/ids.ts";
import { DEFAULT_CONSENSUS } from "./sim-consensus.ts";
import { accountOf, encodeSnark, jobOf, PADDING_MAX, type SimSnark } from "./sim-items.ts";
import type { Tree } from "./sim-tree.ts";
import { createCluster } from "./simulator.ts";
import { withoutChannels } from "./tamper.ts";

/** Work of 9 KiB each, so that a block that embeds it is large. */
const SNARKS = 100;

interface Transfer {
  /** Of all messages of both nodes from the announcement of the block until both had it. */
  readonly bytes: number;
  /** Header, body and all items it refers to. */
  readonly blockBytes: number;
}

/** Two nodes whose pools are told nothing of each other; the second lacks some of the work in the first one's block. */
function transferBlock(lacking: number): Transfer {
  let bytes = 0;
  const cluster = createCluster({
    nodes: 2,
    seed: lacking,
    chain: { transactionsMax: SNARKS, jobsMax: SNARKS },
    tamper: withoutChannels("transaction", "snark", "snark-job-commitment"),
    observers: [{ sent: (_from, _attempt, _to, _channel, message) => (bytes += message.length) }],
  });
  const both = [0, 1] as const;
  const produce = (): void => {
    // There is one block in a slot, and genesis has the first.
    cluster.runFor(DEFAULT_CONSENSUS.slotMs);
    cluster.produce(0);
  };
  cluster.dial(0, 1);
  const transactions: Hash[] = [];
  for (let number = 0; number < SNARKS; number++) {
    const transaction = { fee: 10n, sender: accountOf(number), nonce: 1, verdict: "valid", salt: 0 } as const;
    for (const node of both) transactions[number] = cluster.submit(node, transaction).hash;
  }
  cluster.runUntilQuiet();
  produce();
  cluster.runUntilQuiet();
  for (const [number, hash] of transactions.entries()) {
    const snark = workFor(hash);
    for (const node of both) if (node === 0 || number >= lacking) cluster.submitSnark(node, snark);
  }
  cluster.runUntilQuiet();
  bytes = 0;
  produce();
  cluster.runUntilQuiet();
  const [tip, other] = both.map((node) => cluster.node(node).state.chain.tip);
  expect(other?.hash).toBe(tip?.hash);
  return { bytes, blockBytes: blockBytes(cluster.chain(1).tree, tip?.hash, transactions) };
}

const workFor = (transaction: Hash): SimSnark => ({
  jobId: jobOf(transaction),
  fee: 1n,
  prover: accountOf(0),
  verdict: "valid",
  salt: 0,
  size: PADDING_MAX,
});

function blockBytes(tree: Tree, hash: Hash | undefined, transactions: readonly Hash[]): number {
  const block = hash === undefined ? undefined : tree.get(hash);
  expect(block?.body?.snarks.length).toBe(SNARKS);
  if (block === undefined || block.body === null) return 0;
  const { tip, body } = block;
  const items = transactions.reduce((sum, each) => sum + encodeSnark(workFor(each)).length, 0);
  return encode(headerSchema, tip).length + encode(bodySchema, body).length + items;
}

test.each([
  [0, 0.03],
  [5, 0.08],
  [30, 0.35],
])(
  "blocks by reference: with %i of 100 pieces of work missing a block costs at most %s of its bytes",
  (lacking, most) => {
    const { bytes, blockBytes: whole } = transferBlock(lacking);
    expect(whole).toBeGreaterThan(SNARKS * PADDING_MAX);
    expect(bytes / whole).toBeLessThanOrEqual(most);
    // What is missing has to come, so it cannot be less either.
    expect(bytes / whole).toBeGreaterThan(lacking / 100);
  },
);
