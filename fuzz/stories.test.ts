import { expect, test } from "vitest";
import { createChecker } from "./checker.ts";
import { createCluster, START_MS } from "./simulator.ts";
import { createTranscript } from "./transcript.ts";

test("story: two nodes dial, say hello, give permits, pass one transaction on and part", async () => {
  const transcript = createTranscript(START_MS);
  const checker = createChecker((node) => cluster.chain(node).judged);
  const cluster = createCluster({
    nodes: 2,
    seed: 1,
    link: { latencyMs: [10, 10], jitterMs: 0, serviceMs: [1, 1], closedChance: 0 },
    observers: [checker, transcript],
  });
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  cluster.submit(1, { fee: 5n, sender: "aa".repeat(32), nonce: 0, verdict: "valid", salt: 0 });
  cluster.runUntilQuiet();
  cluster.stop(1);
  cluster.runFor(1_000);
  await expect(`${transcript.lines.join("\n")}\n`).toMatchFileSnapshot("stories/two-nodes.txt");
});
