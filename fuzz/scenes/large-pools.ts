import { brokenPromises } from "../promises.ts";
import { accountOf } from "../sim-items.ts";
import { createRandom } from "../sim-random.ts";
import type { ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";

/** More than RECONCILE_POOL_MIN. */
const ENTRIES = 250;
/** So few must be found out for little; more, and some that come meanwhile, need several rounds. */
const FEW = 8;
const MANY = 50;
const MEANWHILE = 6;
const FINDING_OUT_BYTES_MAX = 8_192;
/** Longer than what was settled is remembered. */
const FORGOTTEN_MS = 660_000;
const MINUTE_MS = 60_000;

/** Two nodes with equal pools part, and meet again with a few differences: that costs little (P23). */
export function playLargePools(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  let bytes = 0;
  let reconciled = 0;
  const { cluster, checker } = createWatched({
    nodes: 2,
    seed,
    config: { capacity: 2 * ENTRIES },
    observers: [
      ...observers,
      {
        sent: (_from, _attemptId, _to, channel, message) => {
          if (channel !== "control") bytes += message.length;
        },
        after: (_node, _input, { actions }) => {
          reconciled += actions.filter(({ type }) => type === "reconcile/answered").length;
        },
      },
    ],
  });
  const submit = (node: number, nonce: number): void => {
    cluster.submit(node, { fee: BigInt(nonce % 50), sender: accountOf(1), nonce, verdict: "valid", salt: 0 });
  };
  for (let nonce = 0; nonce < ENTRIES; nonce++) for (const node of [0, 1]) submit(node, nonce);
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  const isForgotten = random.chance(0.6);
  if (isForgotten) {
    const { peerId } = cluster.identity(1);
    cluster.node(0).command((requestId) => ({ type: "command/disconnect", requestId, peerId }));
    cluster.runFor(FORGOTTEN_MS);
  } else {
    cluster.cutLink(0, 1, 2 * MINUTE_MS);
  }
  const isFew = random.chance(0.5);
  const differences = random.between(1, isFew ? FEW : MANY);
  for (let number = 0; number < differences; number++) submit(random.int(2), ENTRIES + number);
  cluster.runFor(1_000);
  bytes = 0;
  reconciled = 0;
  if (isForgotten) cluster.dial(0, 1);
  for (let number = 0; !isFew && number < MEANWHILE; number++) {
    cluster.runFor(random.int(400));
    submit(random.int(2), ENTRIES + differences + number);
  }
  cluster.runUntilQuiet();
  const broken = brokenPromises({ cluster, checker, submitted: [] });
  const isDear = isFew && bytes > FINDING_OUT_BYTES_MAX;
  if (isDear) return [...broken, `P23: ${differences} differences took ${bytes} bytes`];
  const isResumed = isForgotten || !isFew || reconciled === 0;
  return isResumed ? broken : [...broken, "P23: a connection that came back soon begins anew"];
}
