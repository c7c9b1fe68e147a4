import { sha256 } from "@noble/hashes/sha2.js";
import { type Hex, toHex, uintBytes } from "../../core/bytes.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { entryFor, type PoolInfo } from "../../core/pools.ts";
import { comparePriority } from "../../core/priority.ts";
import { compare } from "../oracle.ts";
import { createRandom, type Random } from "../sim-random.ts";

const PAIRS = 200;
const FEE_BITS = 64;

/**
 * Two items of one pool: the rule prefers the one that section 6 says (oracle.ts).
 *
 * @returns what is not so
 */
export function playPriorities(seed: number): readonly string[] {
  const random = createRandom(seed);
  const problems: string[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    const draw = random.chance(0.5) ? drawTransaction : drawSnark;
    const [a, b] = [draw(random), draw(random)];
    if (Math.sign(comparePriority(priorityOf(a), priorityOf(b))) !== Math.sign(compare(a, b)))
      problems.push(`section 6: of ${textOf(a)} and ${textOf(b)} the wrong one is preferred`);
  }
  return problems;
}

const priorityOf = (info: PoolInfo) => entryFor(info, 0).priority;

const textOf = (info: PoolInfo): string =>
  `${"nonce" in info ? "transaction" : "proof"} with fee ${info.fee}`;

const drawTransaction = (random: Random): PoolInfo => ({
  hash: drawId(random) as Hash,
  fee: drawFee(random),
  sender: drawId(random),
  nonce: 0,
});

const drawSnark = (random: Random): PoolInfo => ({
  hash: drawId(random) as Hash,
  jobId: drawId(random) as JobId,
  fee: drawFee(random),
  prover: drawId(random),
});

/** Any length is as likely; often one of the least fees of a class or next to it. */
function drawFee(random: Random): bigint {
  const bits = random.int(FEE_BITS + 1);
  let fee = 0n;
  for (let bit = 0; bit < bits; bit++) fee = 2n * fee + BigInt(random.int(2));
  if (random.chance(0.5)) return fee;
  let start = 1n;
  while (start < fee) start += start < 10n ? 1n : (start + 9n) / 10n;
  const near = start - BigInt(random.int(2));
  return near < 1n << 64n ? near : fee;
}

const drawId = (random: Random): Hex => toHex(sha256(uintBytes(random.int(2 ** 32), 4)));
