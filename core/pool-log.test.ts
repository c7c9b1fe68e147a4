import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PermitWindow } from "./channels/permits.ts";
import type { Hash } from "./ids.ts";
import {
  answerPermit,
  appendEntry,
  emptyPool,
  holderOf,
  type NewEntry,
  type PoolLog,
  removeEntry,
  resumeIndex,
} from "./pool-log.ts";
import { comparePriority, type Priority } from "./priority.ts";

type Info = { readonly name: number };
type Pool = PoolLog<Info>;

const hashOf = (name: number): Hash => name.toString(16).padStart(64, "0") as Hash;

const entry = (name: number, feeClass: number, slot = `slot ${name}`): NewEntry<Info> => ({
  hash: hashOf(name),
  slot,
  priority: { class: feeClass, hash: hashOf(name) },
  info: { name },
  addedMs: 0,
});

const EMPTY: Pool = emptyPool<Info>(7n);

function poolOf(...entries: readonly NewEntry<Info>[]): Pool {
  let pool = EMPTY;
  for (const one of entries) pool = appendEntry(pool, one).pool;
  return pool;
}

const WINDOW: PermitWindow = { seq: 0, floor: null, band: null };
const TOP: Priority = { class: 65_535, hash: hashOf(0) };
const names = (items: readonly Info[]): readonly number[] => items.map(({ name }) => name);

type Op =
  | { readonly tag: "add"; readonly name: number; readonly class: number; readonly slot: number }
  | { readonly tag: "remove"; readonly name: number };

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      tag: fc.constant("add" as const),
      name: fc.nat(40),
      class: fc.nat(6),
      slot: fc.nat(12),
    }),
  },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant("remove" as const), name: fc.nat(40) }) },
);

/** The fee class belongs to the name: an item has one priority for good. */
function applied(pool: Pool, one: Op): Pool {
  if (one.tag === "remove") return removeEntry(pool, hashOf(one.name));
  const added = entry(one.name, one.name % 7, `slot ${one.slot}`);
  return holderOf(pool, added) === undefined ? appendEntry(pool, added).pool : pool;
}

const pools: fc.Arbitrary<Pool> = fc.array(op, { maxLength: 60 }).map((ops) => ops.reduce(applied, EMPTY));
const priorities: fc.Arbitrary<Priority> = fc
  .tuple(fc.nat(7), fc.nat(45))
  .map(([feeClass, name]) => ({ class: feeClass, hash: hashOf(name) }));
const windows: fc.Arbitrary<PermitWindow> = fc.record({
  seq: fc.nat(9),
  floor: fc.option(priorities, { nil: null, freq: 2 }),
  band: fc.option(fc.oneof(priorities, fc.constant(TOP)), { nil: null, freq: 2 }),
});

describe("pool log", () => {
  test("P22: log, entries, priorities and slots agree after every change", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 80 }), (ops) => {
        let pool = EMPTY;
        for (const one of ops) {
          const before = pool;
          pool = applied(pool, one);
          expect(pool.nextIndex).toBeGreaterThanOrEqual(before.nextIndex);
          const live = [...pool.entries.values()];
          expect([...pool.byIndex.entries()]).toEqual(
            live.map(({ index, hash }) => [index, hash]).sort(([a], [b]) => Number(a) - Number(b)),
          );
          expect([...pool.byPriority.values()]).toEqual(
            [...live].sort((a, b) => comparePriority(a.priority, b.priority)).map(({ hash }) => hash),
          );
          expect(new Set(live.map(({ slot }) => slot)).size).toBe(live.length);
          expect(pool.bySlot.size).toBe(live.length);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of two items in a slot the greater priority stays, in whatever order they come", () => {
    const items = fc.array(fc.tuple(fc.nat(200), fc.nat(4)), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(items, fc.infiniteStream(fc.nat(1_000)), (all, keys) => {
        const add = (pool: Pool, [name, slot]: readonly [number, number]): Pool => {
          const added = entry(name, name % 5, `slot ${(name + slot) % 5}`);
          return holderOf(pool, added) === undefined ? appendEntry(pool, added).pool : pool;
        };
        const unique = [...new Map(all).entries()];
        const shuffled = unique
          .map((item) => ({ item, key: keys.next().value ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ item }) => item);
        const [one, other] = [unique.reduce(add, EMPTY), shuffled.reduce(add, EMPTY)];
        expect([...one.entries.keys()]).toEqual([...other.entries.keys()]);
      }),
      { numRuns: 100 },
    );
  });

  test("the entry that made room is told, and its index stays a hole", () => {
    const pool = poolOf(entry(1, 5, "s"), entry(2, 5));
    const { pool: after, replaced } = appendEntry(pool, entry(3, 6, "s"));
    expect(replaced?.hash).toBe(hashOf(1));
    expect([...after.byIndex.keys()]).toEqual([1, 2]);
    expect(pool.entries.has(hashOf(1))).toBe(true);
  });

  test("an equal or lesser priority never replaces, the same item neither", () => {
    const pool = poolOf(entry(2, 5, "s"));
    expect(holderOf(pool, entry(2, 5, "s"))?.hash).toBe(hashOf(2));
    expect(holderOf(pool, entry(3, 5, "s"))?.hash).toBe(hashOf(2));
    expect(holderOf(pool, entry(1, 5, "s"))).toBeUndefined();
    expect(() => appendEntry(pool, entry(3, 5, "s"))).toThrow("new and the greatest");
  });
});

describe("answers to permits (7.4)", () => {
  test("from the cursor on, in the order of the log, at most limit", () => {
    const pool = poolOf(entry(1, 1), entry(2, 9), entry(3, 5));
    const first = answerPermit(pool, 0, 2, WINDOW, []);
    expect(names(first.answer?.items ?? [])).toEqual([1, 2]);
    expect(first.cursor).toBe(2);
    const second = answerPermit(pool, first.cursor, 2, WINDOW, []);
    expect(names(second.answer?.items ?? [])).toEqual([3]);
    expect(answerPermit(pool, second.cursor, 2, WINDOW, [])).toEqual({ cursor: 3, answer: null, cost: 0 });
  });

  test("holes are passed over", () => {
    const pool = removeEntry(poolOf(entry(1, 1), entry(2, 1), entry(3, 1)), hashOf(2));
    expect(names(answerPermit(pool, 1, 9, WINDOW, []).answer?.items ?? [])).toEqual([3]);
    expect(answerPermit(removeEntry(pool, hashOf(3)), 1, 9, WINDOW, [])).toEqual({
      cursor: 3,
      answer: null,
      cost: 0,
    });
  });

  test("what is at or below the floor is passed over for good: the cursor moves on", () => {
    const pool = poolOf(entry(1, 5), entry(2, 4), entry(3, 6));
    const floor = { class: 5, hash: hashOf(1) };
    const answered = answerPermit(pool, 0, 9, { ...WINDOW, floor }, []);
    expect(names(answered.answer?.items ?? [])).toEqual([3]);
    expect(answered.answer?.rest).toEqual(floor);
    const nothing = answerPermit(pool, 0, 9, { ...WINDOW, floor: TOP }, []);
    expect(nothing).toEqual({ cursor: 3, answer: null, cost: 3 });
  });

  test("what the peer has told of is no news to it: passed over at no cost, but served in a band", () => {
    const pool = poolOf(entry(1, 5), entry(2, 4), entry(3, 6));
    const heard = [hashOf(1), hashOf(3)];
    const answered = answerPermit(pool, 0, 9, WINDOW, heard);
    expect(names(answered.answer?.items ?? [])).toEqual([2]);
    expect(answerPermit(pool, 2, 9, WINDOW, heard)).toEqual({ cursor: 3, answer: null, cost: 0 });
    const band = answerPermit(pool, 3, 9, { ...WINDOW, band: TOP }, heard);
    expect(names(band.answer?.items ?? [])).toEqual([3, 1, 2]);
  });

  test("the band is served from its top downward, and rest says how far", () => {
    const pool = poolOf(entry(1, 1), entry(2, 2), entry(3, 3), entry(4, 4));
    const band = { ...WINDOW, band: TOP };
    const some = answerPermit(pool, 4, 2, band, []);
    expect(names(some.answer?.items ?? [])).toEqual([4, 3]);
    expect(some.answer?.rest).toEqual({ class: 2, hash: hashOf(2) });
    const others = answerPermit(pool, 4, 2, { ...WINDOW, band: some.answer?.rest ?? null }, []);
    expect(names(others.answer?.items ?? [])).toEqual([2, 1]);
  });

  test("a finished band is reported even if it holds nothing", () => {
    expect(answerPermit(EMPTY, 0, 4, { ...WINDOW, band: TOP }, [])).toEqual({
      cursor: 0,
      answer: { items: [], cursor: 0, rest: null },
      cost: 0,
    });
    const floor = { class: 9, hash: hashOf(9) };
    const low = answerPermit(poolOf(entry(1, 1)), 1, 4, { seq: 0, floor, band: TOP }, []);
    expect(low.answer).toEqual({ items: [], cursor: 1, rest: floor });
  });

  /** 7.4 word by word, over plain arrays. */
  test("items, cursor and rest are what an independent reading of 7.4 says", () => {
    fc.assert(
      fc.property(
        pools,
        fc.nat(45),
        fc.integer({ min: 1, max: 32 }),
        windows,
        fc.array(fc.nat(30), { maxLength: 8 }),
        (pool, from, limit, window, told) => {
          const start = Math.min(from, pool.nextIndex);
          const heard = told.map(hashOf);
          const { cursor, answer } = answerPermit(pool, start, limit, window, heard);
          const log = [...pool.entries.values()].sort((a, b) => a.index - b.index);
          const greater = (a: Priority, b: Priority | null): boolean =>
            b === null || comparePriority(a, b) < 0;
          const wanted = log.filter(
            ({ hash, index, priority }) =>
              index >= start && !heard.includes(hash) && greater(priority, window.floor),
          );
          const fresh = wanted.slice(0, limit);
          const { band } = window;
          const inBand = (priority: Priority): boolean => band !== null && !greater(priority, band);
          const repair = log
            .filter(
              ({ index, priority }) => index < start && greater(priority, window.floor) && inBand(priority),
            )
            .sort((a, b) => comparePriority(a.priority, b.priority));
          const expected = [...fresh, ...repair.slice(0, limit - fresh.length)].map(({ info }) => info.name);
          if (answer === null) {
            expect(expected).toEqual([]);
            expect(band).toBeNull();
            expect(cursor).toBe(pool.nextIndex);
            return;
          }
          expect(names(answer.items)).toEqual(expected);
          expect(answer.items.length > 0 || band !== null).toBe(true);
          expect(answer.cursor).toBe(cursor);
          // Nothing that the floor lets through is left behind the cursor without having been served now or before.
          const passed = wanted.filter(({ index }) => index < cursor).map(({ info }) => info.name);
          expect(passed).toEqual(fresh.map(({ info }) => info.name));
          expect(cursor >= start && cursor <= pool.nextIndex).toBe(true);
          if (band === null) {
            expect(answer.rest).toEqual(window.floor);
            return;
          }
          // Everything before the cursor in (rest, band] is in this message; the next band begins with what is not.
          const claimed = log.filter(
            ({ hash, index, priority }) =>
              index < cursor &&
              !(index >= start && heard.includes(hash)) &&
              greater(priority, answer.rest) &&
              inBand(priority),
          );
          for (const { info, priority } of claimed) {
            if (greater(priority, window.floor)) expect(expected).toContain(info.name);
          }
          expect(answer.rest).toEqual(repair[limit - fresh.length]?.priority ?? window.floor);
        },
      ),
      { numRuns: 800 },
    );
  });

  test("repeated bands down to rest bring everything above the floor, each item once", () => {
    fc.assert(
      fc.property(pools, fc.integer({ min: 1, max: 5 }), (pool, limit) => {
        const seen: number[] = [];
        let band: Priority = TOP;
        for (let rounds = 0; rounds < 200; rounds++) {
          const { answer } = answerPermit(pool, pool.nextIndex, limit, { ...WINDOW, band }, []);
          seen.push(...names(answer?.items ?? []));
          if (answer?.rest == null) break;
          band = answer.rest;
        }
        expect(seen.sort((a, b) => a - b)).toEqual([...pool.entries.values()].map(({ info }) => info.name));
      }),
      { numRuns: 100 },
    );
  });

  test("a resumed cursor counts in its own epoch and within the log, else it is 0", () => {
    const pool = poolOf(entry(1, 1), entry(2, 1));
    expect(resumeIndex(pool, { epoch: 7n, next: 1n })).toBe(1);
    expect(resumeIndex(pool, { epoch: 7n, next: 2n })).toBe(2);
    expect(resumeIndex(pool, { epoch: 7n, next: 3n })).toBe(0);
    expect(resumeIndex(pool, { epoch: 8n, next: 1n })).toBe(0);
    expect(resumeIndex(pool, { epoch: 7n, next: 2n ** 64n - 1n })).toBe(0);
  });
});
