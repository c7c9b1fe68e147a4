import { brokenPromises } from "../promises.ts";
import { accountOf } from "../sim-items.ts";
import { createRandom } from "../sim-random.ts";
import type { ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";

const WORKERS = 3;
const ROUNDS = 3;
const PAYMENTS = 2;
/** Longer than a commitment lives. */
const PROOF_MS = [700_000, 900_000] as const;
const ROUND_SPREAD_S = 240;
const WATCHED_MS = 30 * 60_000;
/** All the proofs, one after the other. */
const QUIET_LIMIT_MS = 3 * 60 * 60_000;

/** Jobs are promised one after the other, and every promise is too old before the work is done (7.6). */
export function playCommitments(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  let promised = 0;
  const { cluster, checker } = createWatched({
    nodes: WORKERS,
    seed,
    chain: { transactionsMax: PAYMENTS, proofMs: PROOF_MS, proofSize: 100 },
    configOf: (index) => ({ workFee: 10n + BigInt(index) }),
    observers: [
      ...observers,
      {
        after: ({ state }) => {
          promised = Math.max(promised, state.pools["snark-job-commitment"].entries.size);
        },
      },
    ],
  });
  for (let node = 1; node < WORKERS; node++) cluster.dial(node, node - 1);
  cluster.runFor(10_000);
  for (let round = 0; round < ROUNDS; round++) {
    for (let index = 0; index < PAYMENTS; index++) {
      const nonce = PAYMENTS * round + index;
      cluster.submit(0, { fee: 5n, sender: accountOf(1), nonce, verdict: "valid", salt: 0 });
    }
    cluster.runFor(2_000);
    cluster.produce(0);
    cluster.runFor(1_000 * random.between(1, ROUND_SPREAD_S));
  }
  cluster.runFor(WATCHED_MS);
  cluster.runUntilQuiet(QUIET_LIMIT_MS);
  const broken = brokenPromises({ cluster, checker, submitted: [] });
  return promised > 1 ? broken : [...broken, `only ${promised} commitments were ever there`];
}
