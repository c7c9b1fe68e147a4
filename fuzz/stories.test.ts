import { expect, test } from "vitest";
import { createChecker } from "./checker.ts";
import type { SimTransaction } from "./sim-items.ts";
import { type Cluster, type ClusterOptions, createCluster, START_MS } from "./simulator.ts";
import { withholding } from "./tamper.ts";
import { createTranscript, type Transcript } from "./transcript.ts";

const STEADY = { latencyMs: [10, 10], jitterMs: 0, serviceMs: [1, 1], closedChance: 0 } as const;

const payment = (fee: bigint, nonce = 0): SimTransaction => ({
  fee,
  sender: "aa".repeat(32),
  nonce,
  verdict: "valid",
  salt: 0,
});

function begin(options: Partial<ClusterOptions> & { readonly nodes: number }): {
  readonly cluster: Cluster;
  readonly transcript: Transcript;
} {
  const transcript = createTranscript(START_MS);
  const checker = createChecker((node) => cluster.chain(node).judged);
  const observers = options.tamper === undefined ? [checker, transcript] : [transcript];
  const cluster = createCluster({ seed: 1, link: STEADY, ...options, observers });
  return { cluster, transcript };
}

/** What happens from now on is the story; how the nodes met is another one. */
const told = async ({ lines }: Transcript, from: number, name: string): Promise<void> => {
  await expect(`${lines.slice(from).join("\n")}\n`).toMatchFileSnapshot(`stories/${name}.txt`);
};

test("story: two nodes dial, say hello, give permits, pass one transaction on and part", async () => {
  const { cluster, transcript } = begin({ nodes: 2 });
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  cluster.submit(1, payment(5n));
  cluster.runUntilQuiet();
  cluster.stop(1);
  cluster.runFor(1_000);
  await told(transcript, 0, "two-nodes");
});

test("story: a tip is announced, and its block fetched with the one item that is not known yet", async () => {
  const { cluster, transcript } = begin({ nodes: 2 });
  cluster.dial(1, 0);
  cluster.submit(0, payment(5n, 0));
  cluster.runUntilQuiet();
  cluster.runFor(2_000);
  const from = transcript.lines.length;
  // The block is there before anybody has heard of the second.
  cluster.submit(1, payment(6n, 1));
  cluster.runFor(2);
  cluster.produce(1);
  cluster.runUntilQuiet();
  await told(transcript, from, "block");
});

test("story: two blocks at once, and the branch that grows first wins", async () => {
  const { cluster, transcript } = begin({ nodes: 2 });
  cluster.dial(1, 0);
  cluster.submit(0, payment(5n, 0));
  cluster.submit(0, payment(5n, 1));
  cluster.runUntilQuiet();
  cluster.runFor(2_000);
  const from = transcript.lines.length;
  cluster.produce(0);
  cluster.produce(1);
  cluster.runFor(500);
  // The loser of the two goes on with its own block.
  const loser = cluster.node(0).state.chain.tip.creator === cluster.identity(0).publicKey ? 1 : 0;
  const own = [...cluster.chain(loser).tree.values()].find(
    ({ tip }) => tip.creator === cluster.identity(loser).publicKey,
  );
  cluster.runFor(1_000);
  cluster.produce(loser, own?.tip.hash);
  cluster.runUntilQuiet();
  await told(transcript, from, "reorganisation");
});

test("story: a full pool whose best is taken by a block asks by Refloor and band for what it had no room for", async () => {
  const { cluster, transcript } = begin({
    nodes: 2,
    chain: { transactionsMax: 1 },
    configOf: (index) => (index === 0 ? {} : { capacity: 2 }),
  });
  cluster.dial(1, 0);
  for (const [nonce, fee] of [900n, 700n, 500n, 300n].entries()) {
    cluster.submit(0, { ...payment(fee), sender: nonce.toString(16).padStart(64, "0") });
  }
  cluster.runUntilQuiet();
  cluster.runFor(2_000);
  const from = transcript.lines.length;
  cluster.produce(1);
  cluster.runUntilQuiet();
  await told(transcript, from, "refloor-and-band");
});

test("story: an announcer that does not answer, and the next that is asked after half a second", async () => {
  const { cluster, transcript } = begin({ nodes: 3, tamper: withholding((node) => node === 1) });
  cluster.dial(1, 0);
  cluster.dial(2, 0);
  cluster.runUntilQuiet();
  const from = transcript.lines.length;
  cluster.submit(1, payment(5n));
  cluster.runFor(50);
  cluster.submit(2, payment(5n));
  cluster.runFor(1_000);
  await told(transcript, from, "hedge");
});

test("story: both dial at once, and the connection that the greater id has dialed goes (P05)", async () => {
  const { cluster, transcript } = begin({ nodes: 2 });
  cluster.dial(0, 1);
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  await told(transcript, 0, "mutual-dial");
});

test("story: a link breaks, and the new connection goes on where the old one ended (P23)", async () => {
  const { cluster, transcript } = begin({ nodes: 2 });
  cluster.dial(1, 0);
  cluster.submit(0, payment(5n, 0));
  cluster.submit(0, payment(5n, 1));
  cluster.runUntilQuiet();
  cluster.runFor(1_000);
  const from = transcript.lines.length;
  cluster.cutLink(0, 1, 0);
  cluster.submit(0, payment(5n, 2));
  cluster.runUntilQuiet();
  await told(transcript, from, "resume");
});

test("story: a block brings a job; one worker promises it and makes the proof, and the other keeps away", async () => {
  const { cluster, transcript } = begin({
    nodes: 2,
    configOf: (index) => ({ workFee: index === 0 ? 20n : 30n }),
  });
  cluster.dial(1, 0);
  cluster.submit(0, payment(5n));
  cluster.runUntilQuiet();
  cluster.runFor(1_000);
  const from = transcript.lines.length;
  cluster.produce(0);
  cluster.runUntilQuiet();
  await told(transcript, from, "worker");
});

test("story: a process stands still: it is pinged, given up, and dialed again when it goes on (P27, P28)", async () => {
  const { cluster, transcript } = begin({ nodes: 2 });
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  const from = transcript.lines.length;
  cluster.node(0).freeze();
  cluster.runFor(40_000);
  cluster.node(0).thaw();
  cluster.runUntilQuiet();
  await told(transcript, from, "silence");
});
