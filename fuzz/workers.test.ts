import { expect, test } from "vitest";
import { accountOf } from "./sim-items.ts";
import { createCluster } from "./simulator.ts";
import { withoutChannels } from "./tamper.ts";

const WORKERS = 20;
const SEEDS = [1, 2];
const ROUNDS = 4;

/** Proofs that were begun, beyond one for each job that was done. */
function wastedProofs(seed: number, isSilent: boolean): number {
  const cluster = createCluster({
    nodes: WORKERS,
    seed,
    chain: { transactionsMax: 6, proofMs: [2_000, 6_000], proofSize: 100 },
    configOf: () => ({ workFee: 10n }),
    ...(isSilent ? { tamper: withoutChannels("snark-job-commitment") } : {}),
  });
  const { random } = cluster;
  for (let node = 1; node < WORKERS; node++) {
    for (const target of new Set([node - 1, random.int(node)])) cluster.dial(node, target);
  }
  cluster.runFor(10_000);
  for (let round = 0; round < ROUNDS; round++) {
    for (let index = 0; index < 6; index++) {
      const nonce = 6 * round + index;
      cluster.submit(random.int(WORKERS), {
        fee: 5n,
        sender: accountOf(1),
        nonce,
        verdict: "valid",
        salt: 0,
      });
    }
    cluster.runFor(2_000);
    cluster.produce(0);
    cluster.runFor(4_000);
  }
  cluster.runFor(30_000);
  const done = new Set<string>();
  let begun = 0;
  for (let node = 0; node < WORKERS; node++) {
    const { proofs } = cluster.chain(node);
    begun += proofs.begun;
    for (const jobId of proofs.jobs) done.add(jobId);
  }
  expect(done.size).toBe(6 * ROUNDS);
  return begun - done.size;
}

test("20 workers waste at least 5 times less work with commitments than without", {
  timeout: 300_000,
}, () => {
  const sum = (isSilent: boolean): number =>
    SEEDS.reduce((total, seed) => total + wastedProofs(seed, isSilent), 0);
  const [silent, promised] = [sum(true), sum(false)];
  expect(silent, `${silent} proofs wasted without, ${promised} with commitments`).toBeGreaterThanOrEqual(
    5 * Math.max(1, promised),
  );
});
