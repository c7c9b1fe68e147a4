import { expect, test } from "vitest";
import { percentile } from "./deliveries.ts";
import { playSybils, SHAPES } from "./sybil.ts";

test.each(SHAPES)(
  "sybils 4:1, %s: everything reaches all who are honest, p99 <= 2 s",
  (shape) => {
    const { missing, latenciesMs } = playSybils({ shape, seed: 1, honest: 10, items: 60 });
    expect(missing).toBe(0);
    expect(latenciesMs.length).toBe(60 * 9);
    expect(percentile(latenciesMs, 0.99)).toBeLessThanOrEqual(2_000);
  },
  240_000,
);
