import { CHUNK_BYTES } from "../../core/limits.ts";
import { brokenPromises } from "../promises.ts";
import { DEFAULT_CONSENSUS } from "../sim-consensus.ts";
import { DEFAULT_LINK } from "../sim-host.ts";
import { accountOf } from "../sim-items.ts";
import { createRandom } from "../sim-random.ts";
import type { ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";

/** Around SYNC_HEADERS_MAX, 290: below it all blocks are fetched, above it a ledger. */
const BLOCKS = [130, 420] as const;
const PAYMENT_CHANCE = 0.2;

/** A ledger of several chunks, over lines on which each takes a second: sources come and go meanwhile. */
const BALLAST = 4 * CHUNK_BYTES;
const BYTES_PER_MS = 60;
const STREAMING_MS = 6_000;

/** Two nodes make a long chain; the third catches up with it, from one of them, or from both. */
export function playFarBehind(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  const isLarge = random.chance(0.5);
  const { cluster, checker } = createWatched({
    nodes: 3,
    seed,
    ...(isLarge ? { chain: { ballast: BALLAST } } : {}),
    observers,
  });
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  const blocks = isLarge ? BLOCKS[1] : random.between(...BLOCKS);
  for (let number = 0; number < blocks; number++) {
    cluster.runFor(DEFAULT_CONSENSUS.slotMs);
    if (random.chance(PAYMENT_CHANCE))
      cluster.submit(0, { fee: 5n, sender: accountOf(number), nonce: 0, verdict: "valid", salt: 0 });
    cluster.produce(0);
  }
  cluster.runUntilQuiet();
  if (isLarge) cluster.setLink({ ...DEFAULT_LINK, bytesPerMs: BYTES_PER_MS });
  cluster.dial(2, 0);
  if (isLarge) cluster.runFor(random.int(STREAMING_MS));
  if (isLarge || random.chance(0.5)) cluster.dial(2, 1);
  if (isLarge) {
    cluster.runFor(random.int(STREAMING_MS));
    if (random.chance(0.7)) cluster.kill(0);
  }
  cluster.runUntilQuiet();
  return brokenPromises({ cluster, checker, submitted: [] });
}
