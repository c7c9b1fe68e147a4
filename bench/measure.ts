/**
 * Costs as medians over rounds in which all variants take turns, so that a slow moment of the machine hits all. What
 * is counted is the processor time of this process: other processes cannot add to it.
 */

export interface Variant {
  readonly name: string;
  /** Does the work `count` times. */
  readonly run: (count: number) => void;
  /** How many operations (actions, messages) one unit of work is. */
  readonly operations: number;
}

export interface Cost {
  readonly name: string;
  /** Microseconds per operation. */
  readonly medianUs: number;
  readonly minUs: number;
  readonly maxUs: number;
}

const ROUNDS = 15;
const ROUND_MS = 40;

export function compare(variants: readonly Variant[], rounds = ROUNDS): readonly Cost[] {
  // Before any is measured all have run: what the compiler learns from one of them serves the others too.
  for (const variant of variants) calibrate(variant);
  const plans = variants.map((variant) => ({ variant, count: calibrate(variant), samples: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { variant, count, samples } of plans) {
      const startedUs = cpuUs();
      variant.run(count);
      samples.push((cpuUs() - startedUs) / (count * variant.operations));
    }
  }
  return plans.map(({ variant, samples }) => {
    samples.sort((a, b) => a - b);
    const at = (share: number): number => samples[Math.floor(share * (samples.length - 1))] ?? Number.NaN;
    return { name: variant.name, medianUs: at(0.5), minUs: at(0), maxUs: at(1) };
  });
}

/** Processor time of this process so far, microseconds. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** How often a variant runs in about ROUND_MS; doubles as the warm-up. */
function calibrate({ run }: Variant): number {
  for (let count = 1; ; count *= 2) {
    const startedUs = cpuUs();
    run(count);
    const tookMs = (cpuUs() - startedUs) / 1_000;
    if (tookMs >= ROUND_MS) return Math.max(1, Math.round((count * ROUND_MS) / tookMs));
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

export const p99 = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(0.99 * (values.length - 1))] ?? Number.NaN;

export const rounded = (value: number): number => Number(value.toPrecision(3));

/** One JSON line per result, on standard output. */
export function print(result: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
