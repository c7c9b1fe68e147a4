import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Effect } from "../core/effects.ts";
import type { Hash } from "../core/ids.ts";
import { COMMITMENT_AGE_MAX_MS, RING_MAX } from "../core/limits.ts";
import { entryFor, POOL_NAMES, type PoolInfo, type PoolName } from "../core/pools.ts";
import { comparePriority, feeClass } from "../core/priority.ts";
import type { State } from "../core/state.ts";
import { brokenInvariants } from "./invariants.ts";
import { put } from "./pools.ts";
import { adopt, START_MS } from "./testing/chain.ts";
import {
  announce,
  bring,
  commitmentOf,
  INVALID,
  type Item,
  itemOf,
  jobOf,
  poolOf,
  snarkOf,
  submit,
  submitOne,
  valid,
  verified,
} from "./testing/items.ts";
import { testNode } from "./testing/node.ts";
import { readyPeer, WITHOUT_TIPS } from "./testing/peers.ts";
import { effectsOf } from "./testing/results.ts";

/** 7.4 to 7.6 and section 6: what is in the pools. */

const MAKE: { readonly [Pool in PoolName]: (name: string, fee: bigint, slot: string) => Item } = {
  transaction: (name, fee, slot) => itemOf(name, fee, 0, slot),
  snark: (name, fee, slot) => snarkOf(name, fee, slot),
  "snark-job-commitment": (name, fee, slot) => commitmentOf(name, START_MS, fee, slot),
};

const forgotten = (effects: readonly Effect[]): readonly Hash[] =>
  effectsOf(effects, "effect/forgetItems").flatMap(({ hashes }) => hashes);

describe.each(POOL_NAMES)("pools: conflicts in %s (section 6)", (pool) => {
  const isCheaperBetter = pool !== "transaction";

  test("of one slot the greater priority stays, whichever comes first", () => {
    const [poor, rich, near] = [
      MAKE[pool]("poor", 100n, "s"),
      MAKE[pool]("rich", 200n, "s"),
      MAKE[pool]("near", 101n, "s"),
    ];
    // A step of ten percent: 100 and 101 are of one class, and the smaller hash decides.
    expect(feeClass(100n)).toBe(feeClass(101n));
    const least = [poor, near].sort((one, other) => (one.hash < other.hash ? -1 : 1))[0];
    const best = isCheaperBetter ? least : rich;
    for (const order of [
      [poor, rich, near],
      [rich, poor, near],
      [near, rich, poor],
      [poor, near, rich],
    ]) {
      const node = testNode();
      bring(node, order);
      expect(poolOf(node, pool)).toEqual([best?.hash]);
      expect(brokenInvariants(node.state)).toEqual([]);
    }
  });

  test("of one fee class the smaller hash stays", () => {
    const same = ["x", "y", "z"].map((name) => MAKE[pool](name, 1_000n, "s"));
    const [least] = same.map(({ hash }) => hash).sort();
    for (const order of [same, [...same].reverse()]) {
      const node = testNode();
      bring(node, order);
      expect(poolOf(node, pool)).toEqual([least]);
    }
  });

  test("slots of others stand beside it", () => {
    const node = testNode();
    const items = ["x", "y", "z"].map((name) => MAKE[pool](name, 1_000n, name));
    bring(node, items);
    expect(poolOf(node, pool)).toEqual(items.map(({ hash }) => hash).sort());
  });
});

/** The best C of those that are the greatest of their slot, found out by sorting everything. */
function oracle(infos: readonly PoolInfo[], capacity: number): readonly Hash[] {
  const winners = new Map<string, ReturnType<typeof entryFor>>();
  for (const info of infos) {
    const entry = entryFor(info, 0);
    const holder = winners.get(entry.slot);
    if (holder === undefined || comparePriority(entry.priority, holder.priority) < 0)
      winners.set(entry.slot, entry);
  }
  return [...winners.values()]
    .sort((one, other) => comparePriority(one.priority, other.priority))
    .slice(0, capacity)
    .map(({ hash }) => hash)
    .sort();
}

/** What the rules do when a verdict is there, without all that leads to it. */
function putAll(start: State, pool: PoolName, infos: readonly PoolInfo[]): State {
  const draft = { ...start };
  const context = { time: START_MS, dispatch: () => {}, propose: () => {}, effect: () => {} };
  for (const info of infos) put(draft, pool, entryFor(info, START_MS), context);
  return draft;
}

describe("pools: the promise (7.4)", () => {
  const infos = fc.array(
    fc.record({ name: fc.nat(400), fee: fc.integer({ min: 0, max: 400 }), slot: fc.nat(12) }),
    { minLength: 1, maxLength: 40 },
  );

  test.each(POOL_NAMES)("any order of arrival gives the best C of the slots' greatest: %s", (pool) => {
    const start = testNode({ capacity: 6 }).state;
    fc.assert(
      fc.property(infos, fc.infiniteStream(fc.nat(1_000_000)), (all, keys) => {
        const items = all.map(
          ({ name, fee, slot }) => MAKE[pool](`${name} ${fee} ${slot}`, BigInt(fee), `${slot}`).info,
        );
        const shuffled = items
          .map((item) => ({ item, key: keys.next().value ?? 0 }))
          .sort((one, other) => one.key - other.key)
          .map(({ item }) => item);
        const capacity = pool === "transaction" ? 6 : Number.POSITIVE_INFINITY;
        const expected = oracle(items, capacity);
        for (const order of [items, shuffled, [...items].reverse()]) {
          const state = putAll(start, pool, order);
          expect([...state.pools[pool].entries.keys()]).toEqual(expected);
          expect(brokenInvariants(state)).toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("a full transaction pool lets the least go for a better one, and takes nothing at or below its floor", () => {
    const items = Array.from({ length: 5 }, (_, index) => itemOf(`item ${index}`, BigInt(100 * (index + 1))));
    const node = testNode({ capacity: 3 });
    bring(node, items.slice(0, 3));
    bring(node, items.slice(3));
    expect(poolOf(node)).toEqual(
      items
        .slice(2)
        .map(({ hash }) => hash)
        .sort(),
    );
    expect(bring(node, items.slice(0, 2))).toEqual([]);
  });

  test("a replacement in a slot takes no room: nothing else goes", () => {
    const node = testNode({ capacity: 2 });
    const [held, poor, rich] = [
      itemOf("held", 50n),
      itemOf("poor", 100n, 0, "s"),
      itemOf("rich", 200n, 0, "s"),
    ];
    bring(node, [held, poor]);
    bring(node, [rich]);
    expect(poolOf(node)).toEqual([held.hash, rich.hash].sort());
  });

  test("snarks and commitments have no capacity: one for each job", () => {
    const node = testNode({ capacity: 1 });
    for (let index = 0; index < 20; index++) bring(node, [snarkOf(`snark ${index}`)]);
    for (let index = 0; index < 20; index++) bring(node, [commitmentOf(`commitment ${index}`, START_MS)]);
    expect([poolOf(node, "snark").length, poolOf(node, "snark-job-commitment").length]).toEqual([20, 20]);
  });
});

describe("pools: the ring of evicted and replaced items", () => {
  const [poor, rich] = [itemOf("poor", 100n, 1, "s"), itemOf("rich", 200n, 1, "s")];

  test("what was replaced or evicted is still kept by the chain; what never got in is forgotten at once", () => {
    const node = testNode({ capacity: 2 });
    bring(node, [poor, itemOf("held", 10n)]);
    expect(forgotten(bring(node, [rich]))).toEqual([]);
    expect(forgotten(bring(node, [itemOf("evicts", 20n)]))).toEqual([]);
    expect(node.state.rings.transaction.hashes.size).toBe(2);
    // Submitted by the operator although it has lost its slot: valid, and of no use.
    expect(forgotten(submitOne(node, itemOf("lost", 150n, 1, "s")))).toEqual([
      itemOf("lost", 150n, 1, "s").hash,
    ]);
  });

  /** Puts so many items of this fee, each greater than the one before. @returns what the chain may forget by then */
  function putRising(
    state: State,
    count: number,
    fee: bigint,
  ): Record<"gone" | "put", readonly Hash[]> & { state: State } {
    const gone: Hash[] = [];
    const draft = { ...state };
    const effect = (one: Effect): void => void gone.push(...forgotten([one]));
    const context = { time: START_MS, dispatch: () => {}, propose: () => {}, effect };
    const entries = Array.from({ length: count }, (_, index) =>
      entryFor(itemOf(`rising ${fee} ${index}`, fee).info, START_MS),
    ).sort((one, other) => comparePriority(other.priority, one.priority));
    for (const entry of entries) put(draft, "transaction", entry, context);
    return { state: draft, gone, put: entries.map(({ hash }) => hash) };
  }

  test("beyond 512 the oldest is forgotten, in the order in which they left", () => {
    const { state, gone, put: all } = putRising(testNode({ capacity: 1 }).state, RING_MAX + 4, 10n);
    expect(gone).toEqual(all.slice(0, 3));
    expect([...state.rings.transaction.hashes.values()]).toEqual(all.slice(3, -1));
    expect([...state.pools.transaction.entries.keys()]).toEqual(all.slice(-1));
  });

  const [low, high] = [itemOf("low", 1_000n), itemOf("high", 2_000n)];

  test("never what is in the pool again", () => {
    const node = testNode({ capacity: 2 });
    bring(node, [low, high, itemOf("higher", 3_000n)]);
    expect([...node.state.rings.transaction.hashes.values()]).toEqual([low.hash]);
    adopt(node, { removed: poolOf(node) });
    bring(node, [low]);
    const { state, gone } = putRising(node.state, RING_MAX + 10, 10n);
    expect(state.pools.transaction.entries.has(low.hash)).toBe(true);
    expect(gone.length).toBeGreaterThan(5);
    expect(gone).not.toContain(low.hash);
  });

  test("never what the operator has submitted and waits for room", () => {
    const node = testNode({ capacity: 1 });
    bring(node, [low, high]);
    submit(node, [low]);
    expect([...node.state.local.keys()]).toEqual([low.hash]);
    const { gone } = putRising(node.state, RING_MAX + 10, 10_000n);
    expect(gone.length).toBeGreaterThan(5);
    expect(gone).not.toContain(low.hash);
  });

  test("what was evicted twice is kept as long as the second time says", () => {
    const node = testNode({ capacity: 2 });
    bring(node, [low, high, itemOf("higher", 3_000n)]);
    adopt(node, { removed: poolOf(node) });
    bring(node, [low]);
    const first = putRising(node.state, 300, 10n);
    const back = putRising(first.state, 2, 20_000n);
    expect(
      [...back.state.rings.transaction.hashes.values()].filter((hash) => hash === low.hash),
    ).toHaveLength(1);
    const second = putRising(back.state, 300, 30_000n);
    expect(second.gone.length).toBeGreaterThan(50);
    expect(second.gone).not.toContain(low.hash);
    expect(putRising(second.state, 300, 40_000n).gone).toContain(low.hash);
  });
});

describe("pools: a new tip", () => {
  test("what it includes or makes invalid leaves, and comes into no ring", () => {
    const node = testNode();
    const [x, y] = [itemOf("x"), itemOf("y")];
    bring(node, [x, y]);
    adopt(node, { removed: [x.hash] });
    expect(poolOf(node)).toEqual([y.hash]);
    expect(node.state.rings.transaction.hashes.size).toBe(0);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("what it undoes comes back to pool and log, if it is among the best", () => {
    const node = testNode({ capacity: 2 });
    const [x, y, z] = [itemOf("x", 100n), itemOf("y", 200n), itemOf("z", 300n)];
    bring(node, [y]);
    const { nextIndex } = node.state.pools.transaction;
    const { effects } = adopt(node, { extendsOld: false, returned: [x.info, z.info] });
    expect(poolOf(node)).toEqual([y.hash, z.hash].sort());
    expect(node.state.pools.transaction.nextIndex).toBeGreaterThan(nextIndex);
    // The chain has the bytes of both, and both can be asked for.
    expect(forgotten(effects)).toEqual([]);
    expect([...node.state.rings.transaction.hashes.values()]).toEqual([x.hash]);
  });

  test("snarks of undone blocks come back too", () => {
    const node = testNode();
    const work = snarkOf("work");
    adopt(node, { extendsOld: false, returned: [work.info], jobsAdded: [work.info.jobId] });
    expect(poolOf(node, "snark")).toEqual([work.hash]);
  });

  test("a job that is done takes its work and its commitments with it", () => {
    const node = testNode();
    const job = jobOf("done");
    const items = [
      snarkOf("done"),
      commitmentOf("done", START_MS),
      snarkOf("other"),
      commitmentOf("other", START_MS),
    ];
    for (const item of items) bring(node, [item]);
    adopt(node, { jobsAdded: [job, jobOf("other")] });
    const { effects } = adopt(node, { jobsRemoved: [job] });
    expect(poolOf(node, "snark")).toEqual([items[2]?.hash]);
    expect(poolOf(node, "snark-job-commitment")).toEqual([items[3]?.hash]);
    expect([...forgotten(effects)].sort()).toEqual([items[0]?.hash, items[1]?.hash].sort());
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("of returned ones in one slot the greatest stays", () => {
    const node = testNode();
    const [poor, rich] = [itemOf("poor", 100n, 1, "s"), itemOf("rich", 200n, 1, "s")];
    bring(node, [rich]);
    adopt(node, { extendsOld: false, returned: [poor.info] });
    expect(poolOf(node)).toEqual([rich.hash]);
    adopt(node, { extendsOld: false, returned: [rich.info] });
    expect(poolOf(node)).toEqual([rich.hash]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});

describe("pools: what was submitted here", () => {
  const [low, high, top] = [itemOf("low", 10n), itemOf("high", 20n), itemOf("top", 30n)];

  test("is kept aside when the pool is full of better ones, and offered again when there is room", () => {
    const node = testNode({ capacity: 1 });
    bring(node, [high]);
    submit(node, [low]);
    expect(poolOf(node)).toEqual([high.hash]);
    expect([...node.state.local.keys()]).toEqual([low.hash]);
    adopt(node, { removed: [high.hash] });
    expect(poolOf(node)).toEqual([low.hash]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("is kept aside when better ones evict it", () => {
    const node = testNode({ capacity: 1 });
    submit(node, [low]);
    const effects = bring(node, [high]);
    expect(forgotten(effects)).toEqual([]);
    expect(node.state.rings.transaction.hashes.size).toBe(0);
    adopt(node, { removed: [high.hash] });
    expect(poolOf(node)).toEqual([low.hash]);
  });

  test("the best of it comes first when there is room for one", () => {
    const node = testNode({ capacity: 1 });
    bring(node, [itemOf("best", 1_000n)]);
    submit(node, [low, top, high]);
    adopt(node, { removed: [itemOf("best", 1_000n).hash] });
    expect(poolOf(node)).toEqual([top.hash]);
  });

  test("is kept aside no more once a block has it, or makes it invalid", () => {
    const node = testNode({ capacity: 1 });
    submit(node, [low]);
    bring(node, [high]);
    adopt(node, { removed: [low.hash, high.hash] });
    expect(node.state.local.size).toBe(0);
    expect(poolOf(node)).toEqual([]);
  });

  test("what is invalid, or has lost its slot, is not kept aside", () => {
    const node = testNode();
    submitOne(node, low, INVALID);
    bring(node, [itemOf("rich", 200n, 1, "s")]);
    submitOne(node, itemOf("poor", 100n, 1, "s"));
    expect(node.state.local.size).toBe(0);
  });

  test("what somebody else announces meanwhile stays ours to keep", () => {
    const node = testNode({ capacity: 1 });
    submit(node, [low]);
    const peer = readyPeer(node, "p", WITHOUT_TIPS);
    announce(node, peer, [low]);
    bring(node, [high]);
    expect(node.state.local.has(low.hash)).toBe(true);
  });
});

describe("pools: commitments grow old", () => {
  test("each is dropped ten minutes after it was issued, and forgotten", () => {
    const node = testNode();
    const [old, young] = [commitmentOf("old", START_MS - 60_000), commitmentOf("young", START_MS)];
    bring(node, [young]);
    bring(node, [old]);
    expect(forgotten(node.pass(COMMITMENT_AGE_MAX_MS - 60_001))).toEqual([]);
    expect(forgotten(node.pass(1))).toEqual([old.hash]);
    expect(poolOf(node, "snark-job-commitment")).toEqual([young.hash]);
    expect(forgotten(node.pass(59_999))).toEqual([]);
    expect(forgotten(node.pass(1))).toEqual([young.hash]);
    expect(poolOf(node, "snark-job-commitment")).toEqual([]);
    expect([...node.state.deadlines.byName.keys()].filter((name) => name.startsWith("commitments"))).toEqual(
      [],
    );
  });

  test("one that is issued later, but comes first, does not hold up the others", () => {
    const node = testNode();
    bring(node, [commitmentOf("late", START_MS + 30_000)]);
    bring(node, [commitmentOf("early", START_MS - 300_000)]);
    expect(poolOf(node, "snark-job-commitment")).toHaveLength(2);
    node.pass(COMMITMENT_AGE_MAX_MS - 300_000);
    expect(poolOf(node, "snark-job-commitment")).toEqual([commitmentOf("late", START_MS + 30_000).hash]);
  });

  test("P22: a replaced one leaves nothing behind", () => {
    const node = testNode();
    bring(node, [commitmentOf("dear", START_MS, 500n, "job")]);
    bring(node, [commitmentOf("cheap", START_MS + 1, 5n, "job")]);
    expect(poolOf(node, "snark-job-commitment")).toEqual([
      commitmentOf("cheap", START_MS + 1, 5n, "job").hash,
    ]);
    node.pass(COMMITMENT_AGE_MAX_MS + 1);
    expect(poolOf(node, "snark-job-commitment")).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("the same one announced again after that is the chain's to judge", () => {
    const node = testNode();
    const one = commitmentOf("one", START_MS);
    bring(node, [one]);
    node.pass(COMMITMENT_AGE_MAX_MS);
    const peer = readyPeer(node, "p", WITHOUT_TIPS);
    const { effects } = announce(node, peer, [one]);
    expect(effectsOf(effects, "effect/verifyItems")).toHaveLength(1);
    verified(node, effects, valid(one));
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});
