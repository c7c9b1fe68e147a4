import { expect, test, vi } from "vitest";
import { playWithoutRelay } from "./by-relay.fixture.ts";

vi.setConfig({ testTimeout: 180_000 });

test("P11: nodes that do not listen find each other by one relay, and need it no more", async () => {
  const { before, after, submitted, everywhere } = await playWithoutRelay(6, 3);
  expect(Math.min(...before)).toBeGreaterThanOrEqual(4);
  expect(Math.min(...after)).toBeGreaterThanOrEqual(3);
  expect(submitted).toBe(15);
  expect(everywhere).toBe(submitted);
});
