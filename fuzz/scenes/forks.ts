import { type Tip, tipOf } from "../../core/block.ts";
import type { ChainParameters } from "../../core/chain.ts";
import { isBetterTip } from "../../core/consensus.ts";
import { isPreferred } from "../chain-selection.ts";
import { headerAfter, parametersOf } from "../sim-consensus.ts";
import { createRandom, type Random } from "../sim-random.ts";

const BRANCHES = 3;
const BLOCKS_MAX = 40;
const PAIRS = 200;
/** Epochs shorter than a window of densities, as long as one, and longer. */
const SLOTS_PER_EPOCH = [21, 30, 77, 240] as const;
/** Slots from one block to the next: of a busy chain, of a poor one, and of one that stood still. */
const GAPS = [2, 12, 150] as const;

/**
 * Branches that part anywhere, of different density, whose tips are compared with each other: the rule of 7.3 must
 * say what its text says (chain-selection.ts), and of two tips never prefer both.
 *
 * @returns what is not so
 */
export function playForks(seed: number): readonly string[] {
  const random = createRandom(seed);
  const parameters = parametersOf(
    {
      slotsPerEpoch: SLOTS_PER_EPOCH[random.int(SLOTS_PER_EPOCH.length)] ?? 30,
      gracePeriodEnd: random.int(100),
      slotMs: 1_000,
      ballast: 0,
    },
    0,
  );
  const tips: Tip[] = [parameters.genesis];
  for (let branch = 0; branch < BRANCHES; branch++) {
    const start = tips[random.int(tips.length)] ?? parameters.genesis;
    tips.push(...branchFrom(start, parameters, branch, random));
  }
  const problems: string[] = [];
  const any = (): Tip => tips[random.int(tips.length)] ?? parameters.genesis;
  for (let pair = 0; pair < PAIRS; pair++) {
    const [a, b] = [any(), any()];
    const isBetter = isBetterTip(a, b, parameters);
    if (isBetter !== isPreferred(a, b, parameters))
      problems.push(`P31: ${nameOf(a)} is ${isBetter ? "" : "not "}preferred to ${nameOf(b)}`);
    if (isBetter && isBetterTip(b, a, parameters))
      problems.push(`P31: ${nameOf(a)} and ${nameOf(b)} are each better than the other`);
  }
  return problems;
}

function branchFrom(start: Tip, parameters: ChainParameters, branch: number, random: Random): readonly Tip[] {
  const tips: Tip[] = [];
  const usual = GAPS[random.int(2)] ?? 2;
  const blocks = random.int(BLOCKS_MAX);
  for (let tip = start; tips.length < blocks; ) {
    const gap = random.chance(0.03) ? GAPS[2] : usual;
    const slot = tip.slot + 1 + random.int(gap);
    const creator = `0${branch}`.repeat(32);
    const { bodyRoot, ledgerRoot } = parameters.genesis;
    tip = tipOf(headerAfter(parameters, tip, { slot, creator, bodyRoot, ledgerRoot }));
    tips.push(tip);
  }
  return tips;
}

const nameOf = ({ height, slot, epoch, hash }: Tip): string =>
  `${hash.slice(-8)} (height ${height}, slot ${slot}, epoch ${epoch})`;
