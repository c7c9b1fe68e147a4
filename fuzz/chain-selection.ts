import { blake2b } from "@noble/hashes/blake2.js";
import type { ComparedTip, ConsensusParameters } from "../core/consensus.ts";

/**
 * 7.3 once more, from its text alone and without a line of core/consensus.ts: what the checkers hold the rule against.
 * Slow, and one sentence of the protocol after the other.
 */
export function isPreferred(a: ComparedTip, b: ComparedTip, parameters: ConsensusParameters): boolean {
  if (a.hash === b.hash) return false;
  const order = shareCheckpoint(a, b, parameters)
    ? []
    : [compare(density(a, b, parameters), density(b, a, parameters))];
  order.push(compare(a.height, b.height));
  order.push(compare(number(blake2b(bytes(a), { dkLen: 32 })), number(blake2b(bytes(b), { dkLen: 32 }))));
  order.push(compare(BigInt(`0x${a.hash}`), BigInt(`0x${b.hash}`)));
  return order.find((sign) => sign !== 0) === 1;
}

const RING = 11;
const SLOTS = 7;

const compare = <T extends number | bigint>(a: T, b: T): number => (a > b ? 1 : a < b ? -1 : 0);

const bytes = ({ consensus }: ComparedTip): Uint8Array =>
  Uint8Array.from(consensus.vrfOutput.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const number = (digest: Uint8Array): bigint => digest.reduce((sum, byte) => 256n * sum + BigInt(byte), 0n);

function shareCheckpoint(a: ComparedTip, b: ComparedTip, { slotsPerEpoch }: ConsensusParameters): boolean {
  const [behind, ahead] = a.epoch < b.epoch ? [a, b] : [b, a];
  switch (ahead.epoch - behind.epoch) {
    case 0:
      return a.consensus.stakingLock === b.consensus.stakingLock;
    case 1: {
      const inEpoch = behind.slot - behind.epoch * slotsPerEpoch;
      const isLastThird = inEpoch >= (slotsPerEpoch * 2) / 3;
      return isLastThird && ahead.consensus.stakingLock === behind.consensus.nextLock;
    }
    default:
      return false;
  }
}

/** Of `a`, as if it had gone on without a block to the sub-window of the later of both. */
function density(a: ComparedTip, b: ComparedTip, { gracePeriodEnd }: ConsensusParameters): number {
  const { minWindowDensity, subWindowDensities } = a.consensus;
  const later = a.slot > b.slot ? a.slot : b.slot;
  const [own, last] = [a, { slot: later }].map(({ slot }) => (slot - (slot % SLOTS)) / SLOTS) as [
    number,
    number,
  ];
  if (later < gracePeriodEnd || own === last) return minWindowDensity;
  const ring = [...subWindowDensities];
  // Each sub-window that is over passed without a block; the last one is not over.
  for (let between = own + 1; between < last && between <= own + RING; between++) ring[between % RING] = 0;
  const sum = ring.reduce((total, blocks) => total + blocks, 0);
  return sum < minWindowDensity ? sum : minWindowDensity;
}
