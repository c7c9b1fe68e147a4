import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Key, SortedMap } from "./sorted-map.ts";

// The oracle: an ordinary Map, and its entries sorted anew for every question.

type Entries<K extends Key> = readonly (readonly [K, string])[];

interface Operation<K extends Key> {
  readonly tag: "set" | "delete" | "update";
  readonly key: K;
  readonly value: string;
}

const sorted = <K extends Key>(map: ReadonlyMap<K, string>): Entries<K> =>
  Array.from(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

const KEYS = {
  numbers: fc.oneof(fc.integer({ min: -5, max: 60 }), fc.integer({ min: 0, max: 1_500 })),
  texts: fc.oneof(
    fc.constantFrom("", "a", "Z", "ä", "aa", "\uffff", "🐝"),
    fc.nat({ max: 1_500 }).map((n) => n.toString(36)),
  ),
};

/** Around the size of a node of the tree (32) and of a tree of two and three levels. */
const SIZES = [0, 1, 31, 32, 33, 64, 65, 1_100] as const;
const keyOf = {
  numbers: (index: number): Key => index,
  texts: (index: number): Key => index.toString(36),
};

const operationsOf = (keys: fc.Arbitrary<Key>): fc.Arbitrary<readonly Operation<Key>[]> =>
  fc.array(
    fc.record({
      tag: fc.constantFrom("set", "set", "delete", "delete", "update"),
      key: keys,
      value: fc.string({ maxLength: 3 }),
    }),
    { maxLength: 60 },
  );

function applied(map: SortedMap<Key, string>, { tag, key, value }: Operation<Key>): SortedMap<Key, string> {
  if (tag === "set") return map.set(key, value);
  if (tag === "delete") return map.delete(key);
  return map.update(key, (old) => `${old}${value}`);
}

function applyToOracle(oracle: Map<Key, string>, { tag, key, value }: Operation<Key>): void {
  if (tag === "set") oracle.set(key, value);
  if (tag === "delete") oracle.delete(key);
  const old = oracle.get(key);
  if (tag === "update" && old !== undefined) oracle.set(key, `${old}${value}`);
}

describe.each(["numbers", "texts"] as const)("sorted map of %s", (kind) => {
  const starts = fc
    .constantFrom(...SIZES)
    .map((size) => Array.from({ length: size }, (_, index) => [keyOf[kind](index), `v${index}`] as const));
  const keys: fc.Arbitrary<Key> = KEYS[kind];

  test("after any changes it equals a sorted Map", () => {
    fc.assert(
      fc.property(starts, operationsOf(keys), (start, operations) => {
        const oracle = new Map<Key, string>(start);
        let map = SortedMap.from<Key, string>(start);
        const [ours, theirs]: [unknown[], unknown[]] = [[], []];
        for (const operation of operations) {
          map = applied(map, operation);
          applyToOracle(oracle, operation);
          ours.push([operation, map.size, map.get(operation.key), map.has(operation.key)]);
          theirs.push([operation, oracle.size, oracle.get(operation.key), oracle.has(operation.key)]);
        }
        expect(ours).toEqual(theirs);
        const expected = sorted(oracle);
        expect(Array.from(map.entries())).toEqual(expected);
        expect(Array.from(map.keys())).toEqual(expected.map(([key]) => key));
        expect(Array.from(map.values())).toEqual(expected.map(([, value]) => value));
        expect(map.first()).toEqual(expected[0]);
        expect(map.last()).toEqual(expected.at(-1));
      }),
      { numRuns: 30 },
    );
  });

  test("every older version stays as it was, also when both it and the newer one change on", () => {
    fc.assert(
      fc.property(starts, operationsOf(keys), operationsOf(keys), (start, operations, others) => {
        const base = SortedMap.from<Key, string>(start);
        const versions: { readonly map: SortedMap<Key, string>; readonly expected: Entries<Key> }[] = [];
        const grow = (from: SortedMap<Key, string>, through: readonly Operation<Key>[]): void => {
          const oracle = new Map<Key, string>(from.entries());
          let map = from;
          for (const [index, operation] of through.entries()) {
            map = applied(map, operation);
            applyToOracle(oracle, operation);
            if (index % 8 === 0) versions.push({ map, expected: sorted(oracle) });
          }
        };
        versions.push({ map: base, expected: sorted(new Map(start)) });
        grow(base, operations);
        const middle = versions[versions.length >>> 1]?.map ?? base;
        grow(middle, others);
        grow(base, others);
        for (const { map, expected } of versions) {
          expect(map.size).toBe(expected.length);
          expect(Array.from(map.entries())).toEqual(expected);
        }
      }),
      { numRuns: 20 },
    );
  });

  test("neighbours of a key, and walks that begin at one, whether it is there or not", () => {
    fc.assert(
      fc.property(
        starts,
        operationsOf(keys),
        fc.array(keys, { maxLength: 20 }),
        (start, operations, probes) => {
          const oracle = new Map<Key, string>(start);
          let map = SortedMap.from<Key, string>(start);
          for (const operation of operations) {
            map = applied(map, operation);
            applyToOracle(oracle, operation);
          }
          const expected = sorted(oracle);
          for (const probe of probes) {
            expect(map.after(probe)).toEqual(expected.find(([key]) => key > probe));
            expect(map.before(probe)).toEqual(expected.findLast(([key]) => key < probe));
            const from = expected.filter(([key]) => key >= probe);
            expect(Array.from(map.entries(probe))).toEqual(from);
            expect(Array.from(map.keys(probe))).toEqual(from.map(([key]) => key));
            expect(Array.from(map.values(probe))).toEqual(from.map(([, value]) => value));
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("sorted map", () => {
  test("shrinks from three levels to nothing in any order, and the full one remains", () => {
    const full = SortedMap.from(Array.from({ length: 3_000 }, (_, key) => [key, key] as const));
    let map = full;
    // A walk that meets every key once: 1019 and 3000 have no common factor.
    for (let index = 0; index < 3_000; index++) map = map.delete((index * 1_019) % 3_000);
    expect([map.size, map.first(), map.last()]).toEqual([0, undefined, undefined]);
    expect(Array.from(full.keys())).toEqual(Array.from({ length: 3_000 }, (_, key) => key));
  });

  test("an empty map is empty however often it was used", () => {
    SortedMap.empty<number, string>().set(1, "one");
    const map = SortedMap.empty<number, string>();
    expect([map.size, map.get(1), map.first(), Array.from(map.entries())]).toEqual([
      0,
      undefined,
      undefined,
      [],
    ]);
  });

  test("deleting or updating what is missing gives the same map", () => {
    const map = SortedMap.from<number, string>([[1, "one"]]);
    expect(map.delete(2)).toBe(map);
    expect(map.update(2, () => "two")).toBe(map);
  });

  test("entries do not share one array", () => {
    const [first, second] = Array.from(SortedMap.from([[1, "one"] as const, [2, "two"] as const]).entries());
    expect([first, second]).toEqual([
      [1, "one"],
      [2, "two"],
    ]);
  });

  test("walks depend on the keys alone, not on the order in which they came", () => {
    const keys = fc.uniqueArray(fc.integer(), { maxLength: 80 });
    fc.assert(
      fc.property(keys, (unique) => {
        const forwards = unique.reduce((map, key) => map.set(key, key), SortedMap.empty<number, number>());
        const backwards = unique.reduceRight(
          (map, key) => map.set(key, key),
          SortedMap.empty<number, number>(),
        );
        expect(Array.from(forwards.keys())).toEqual(Array.from(backwards.keys()));
      }),
      { numRuns: 50 },
    );
  });

  test("zero and the empty text are keys like any other", () => {
    const numbers = SortedMap.from([-1, 0, 1].map((key) => [key, key] as const));
    expect([numbers.after(0), numbers.before(0), Array.from(numbers.keys(0))]).toEqual([
      [1, 1],
      [-1, -1],
      [0, 1],
    ]);
    const texts = SortedMap.from(["", "a"].map((key) => [key, key] as const));
    expect([texts.first(), texts.after(""), texts.before("")]).toEqual([["", ""], ["a", "a"], undefined]);
  });
});
