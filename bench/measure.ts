/** Costs as medians over rounds in which all variants take turns, so that a slow moment of the machine hits all. */

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
  const plans = variants.map((variant) => ({ variant, count: calibrate(variant), samples: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { variant, count, samples } of plans) {
      const startedMs = performance.now();
      variant.run(count);
      samples.push((1_000 * (performance.now() - startedMs)) / (count * variant.operations));
    }
  }
  return plans.map(({ variant, samples }) => {
    samples.sort((a, b) => a - b);
    const at = (share: number): number => samples[Math.floor(share * (samples.length - 1))] ?? Number.NaN;
    return { name: variant.name, medianUs: at(0.5), minUs: at(0), maxUs: at(1) };
  });
}

/** How often a variant runs in about ROUND_MS; doubles as the warm-up. */
function calibrate({ run }: Variant): number {
  for (let count = 1; ; count *= 2) {
    const startedMs = performance.now();
    run(count);
    const tookMs = performance.now() - startedMs;
    if (tookMs >= ROUND_MS) return Math.max(1, Math.round((count * ROUND_MS) / tookMs));
  }
}

export const rounded = (value: number): number => Number(value.toPrecision(3));

/** One JSON line per result, on standard output. */
export function print(result: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
