import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectedPool, poolOf } from "./oracle.ts";
import { runs, runsTimeoutMs } from "./runs.ts";
import type { SimTransaction } from "./sim-items.ts";
import type { Tamper } from "./sim-transport.ts";
import type { Cluster } from "./simulator.ts";
import { withoutBand, withoutRefloor } from "./tamper.ts";
import { createWatched } from "./watched.ts";

/**
 * The trap of outstanding permits (7.4): pools are full and floors high, a block takes items out, floors fall while
 * permits with the old floors are out. Each rule against it is shown to be needed: without it pools stay different.
 */

const CAPACITY = 4;
const payment = (fee: number): SimTransaction => ({
  fee: BigInt(fee),
  sender: fee.toString(16).padStart(64, "0"),
  nonce: 0,
  verdict: "valid",
  salt: 0,
});

const asExpected = (cluster: Cluster): boolean =>
  cluster.nodes.every(
    ({ index }) =>
      String(poolOf(cluster, index, "transaction")) === String(expectedPool(cluster, index, "transaction")),
  );

/** A large pool has all, a full one the best of it; a block takes these. The large one has passed the others over. */
function fullPoolAfterBlock(tamper?: Tamper): Cluster {
  const { cluster } = createWatched({
    nodes: 2,
    seed: 1,
    configOf: (index) => (index === 0 ? {} : { capacity: CAPACITY }),
    ...(tamper === undefined ? {} : { tamper }),
  });
  cluster.dial(1, 0);
  for (let fee = 1; fee <= 3 * CAPACITY; fee++) cluster.submit(0, payment(10 * fee));
  cluster.runUntilQuiet();
  expect(poolOf(cluster, 1, "transaction")).toHaveLength(CAPACITY);
  expect(asExpected(cluster)).toBe(true);
  cluster.runFor(1_000);
  cluster.produce(1);
  cluster.runFor(MINUTE_MS);
  return cluster;
}

const MINUTE_MS = 60_000;

describe("a full pool, out of which a block takes the best", () => {
  test("is filled again from where it was offered more than it had room for", () => {
    const cluster = fullPoolAfterBlock();
    cluster.runUntilQuiet();
    expect(asExpected(cluster)).toBe(true);
    expect(poolOf(cluster, 1, "transaction")).toHaveLength(CAPACITY);
    expect(poolOf(cluster, 0, "transaction")).toHaveLength(2 * CAPACITY);
  });

  test.each([
    ["Refloor", withoutRefloor],
    ["the band", withoutBand],
  ])("stays empty without %s", (_rule, tamper) => {
    const cluster = fullPoolAfterBlock(tamper);
    expect(poolOf(cluster, 1, "transaction")).toEqual([]);
    expect(asExpected(cluster)).toBe(false);
  });
});

/**
 * A sparse graph of small pools of equal capacity; submissions and blocks at random.
 *
 * @returns whether all pools are equal in the end, and as the oracle says
 */
function smallPools(seed: number, tamper?: Tamper): boolean {
  const nodes = 8;
  const { cluster } = createWatched({
    nodes,
    seed,
    config: { capacity: CAPACITY },
    chain: { transactionsMax: 3 },
    ...(tamper === undefined ? {} : { tamper }),
  });
  const { random } = cluster;
  for (let node = 1; node < nodes; node++) cluster.dial(node, random.int(node));
  for (let extra = 0; extra < 3; extra++) {
    const [from, to] = [random.int(nodes), random.int(nodes)];
    if (from !== to) cluster.dial(from, to);
  }
  cluster.runFor(5_000);
  const fees = new Set<number>();
  for (let event = 0; event < 40; event++) {
    const fee = random.between(1, 10_000);
    if (!fees.has(fee)) cluster.submit(random.int(nodes), payment(fee));
    fees.add(fee);
    if (event % 10 === 9) cluster.produce(random.int(nodes));
    cluster.runFor(random.between(0, 300));
  }
  cluster.runFor(2 * MINUTE_MS);
  const pool = poolOf(cluster, 0, "transaction");
  return (
    asExpected(cluster) &&
    cluster.nodes.every(({ index }) => String(poolOf(cluster, index, "transaction")) === String(pool))
  );
}

describe("small pools in a sparse graph, of which blocks take items", () => {
  test("are equal with all rules, whatever happens", { timeout: runsTimeoutMs(60_000) }, () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => smallPools(seed)),
      { numRuns: runs(4) },
    );
  });

  test.each([
    ["Refloor", withoutRefloor],
    ["the band", withoutBand],
  ])("are not without %s", { timeout: 60_000 }, (_rule, tamper) => {
    const outcomes = [1, 2].map((seed) => smallPools(seed, tamper));
    expect(outcomes).toContain(false);
  });
});
