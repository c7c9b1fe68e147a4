/**
 * Randomness of the simulation: xoshiro128** behind a splitmix seed. The nodes draw from core/rng.ts, which is
 * unpredictable and slow; latencies and delays are drawn a thousand times as often and only have to be repeatable.
 */
export interface Random {
  /** A uniform integer in [0, below). */
  readonly int: (below: number) => number;
  /** A uniform integer in [from, to], both included. */
  readonly between: (from: number, to: number) => number;
  /** True with this probability. */
  readonly chance: (probability: number) => boolean;
}

export function createRandom(seed: number): Random {
  let [a, b, c, d] = [splitmix(seed, 1), splitmix(seed, 2), splitmix(seed, 3), splitmix(seed, 4)];
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
  const int = (below: number): number => Math.floor((next() / 2 ** 32) * below);
  return {
    int,
    between: (from, to) => from + int(to - from + 1),
    chance: (probability) => next() / 2 ** 32 < probability,
  };
}

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

function splitmix(seed: number, index: number): number {
  let z = (seed + Math.imul(index, 0x9e3779b9)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return z ^ (z >>> 16);
}
