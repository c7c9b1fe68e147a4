import { expect, test } from "vitest";
import { measureTurns } from "./chain.fixture.ts";
import { inSlices } from "./slices.ts";

const spin = (ms: number): void => {
  const startedMs = performance.now();
  while (performance.now() - startedMs < ms);
};

test("slices: all is done once, and the results are in order, whatever finishes first", async () => {
  const values = Array.from({ length: 20 }, (_, index) => index);
  const results = await inSlices(values, (value) =>
    value % 3 === 0 ? value : new Promise<number>((resolve) => setTimeout(resolve, 20 - value, value)),
  );
  expect(results).toEqual(values);
  expect(await inSlices([], () => expect.fail("there is nothing to do"))).toEqual([]);
});

test("slices: while long work is done, everything else runs about every 2 ms", async () => {
  const steps = Array.from({ length: 200 }, () => 0.5);
  let isDone = false;
  const work = inSlices(steps, spin).then(() => {
    isDone = true;
  });
  const { turns, medianCpuMs } = await measureTurns(() => isDone);
  await work;
  // 100 ms in slices of 2 ms and what one step may take beyond that.
  expect(turns).toBeGreaterThan(20);
  expect(medianCpuMs).toBeLessThan(10);
});
