import { playEclipse } from "../fuzz/eclipse.ts";
import { print } from "./measure.ts";

const SEEDS = 10_000;

/** How many of so many nodes have no honest peer among those that they have chosen. */
export function benchEclipse(): void {
  const honest: number[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) honest.push(playEclipse({ seed, honestPercent: 100 }));
  const counts = Array.from({ length: 9 }, (_, count) => honest.filter((each) => each === count).length);
  print({ bench: "eclipse", seeds: SEEDS, owned: counts[0], byHonestPeers: counts });
}
