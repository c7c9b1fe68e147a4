import { DEFAULT_ECLIPSE, type Peerage, playEclipse } from "../fuzz/eclipse.ts";
import { playBookEclipse } from "../fuzz/eclipse-book.ts";
import { cpuUs, print, rounded } from "./measure.ts";

const BOOK_SEEDS = 10_000;
/** Of whole nodes with all that they do: ten thousand take hours, see bench/eclipse-nodes.ts. */
const NODE_SEEDS = 50;

/** How many nodes have no honest peer among those that they have chosen. */
export function benchEclipse(): void {
  const honest: number[] = [];
  for (let seed = 1; seed <= BOOK_SEEDS; seed++) honest.push(playBookEclipse({ seed, honestPercent: 100 }));
  print({ bench: "eclipse, book", seeds: BOOK_SEEDS, ...summary(honest) });
  benchEclipsedNodes(1, NODE_SEEDS);
}

export function benchEclipsedNodes(
  firstSeed: number,
  seeds: number,
  lifeMs: number = DEFAULT_ECLIPSE.lifeMs,
): void {
  const startedUs = cpuUs();
  const lives: { readonly [Life in "beforeCrash" | "atEnd"]: Peerage[] } = { beforeCrash: [], atEnd: [] };
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const { beforeCrash, atEnd } = playEclipse({ ...DEFAULT_ECLIPSE, seed, lifeMs });
    lives.beforeCrash.push(beforeCrash);
    lives.atEnd.push(atEnd);
  }
  const cpuMs = rounded((cpuUs() - startedUs) / 1_000 / seeds);
  for (const [life, peerages] of Object.entries(lives)) {
    const chosen = summary(peerages.map(({ chosenHonest }) => chosenHonest));
    const incoming = summary(peerages.map(({ incomingHonest }) => incomingHonest));
    print({
      bench: "eclipse",
      life,
      lifeMs,
      firstSeed,
      seeds,
      ...chosen,
      byHonestIncoming: incoming.byHonestPeers,
      cpuMs,
    });
  }
}

function summary(honest: readonly number[]) {
  const most = Math.max(...honest);
  const byHonestPeers = Array.from(
    { length: most + 1 },
    (_, count) => honest.filter((each) => each === count).length,
  );
  return { owned: byHonestPeers[0], byHonestPeers };
}
