import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SortedMap } from "./sorted-map.ts";
import { fieldHashes, stateHash } from "./state-hash.ts";

describe("state hash", () => {
  test("is the same for equal states, whatever the order of their keys and the history of their maps", () => {
    const map = SortedMap.from([
      ["b", 2],
      ["a", 1],
    ]);
    const other = SortedMap.empty<string, number>().set("a", 1).set("x", 9).set("b", 2).delete("x");
    expect(stateHash({ map, n: 1n })).toBe(stateHash({ n: 1n, map: other }));
  });

  const DIFFERENT: readonly object[] = [
    {},
    [],
    { a: 1 },
    { a: 1n },
    { a: "1" },
    { a: true },
    { a: null },
    { a: "null" },
    { a: "number 1" },
    { a: [] },
    { a: {} },
    { a: [1] },
    { a: [[1]] },
    { a: [1, 1] },
    { a: new Uint8Array([1]) },
    { a: new Uint8Array() },
    { a: SortedMap.empty() },
    { a: SortedMap.from([[1, 1]]) },
    { a: SortedMap.from([["1", 1]]) },
    { a: SortedMap.from([["1", 1n]]) },
    { a: 1, b: 2 },
    { ab: 1 },
    { b: 1 },
    { a: "1:b" },
    { a: { b: 1 } },
    { a: ["record", "1"] },
  ];

  test("differs for different values, types and shapes", () => {
    expect(new Set(DIFFERENT.map(stateHash)).size).toBe(DIFFERENT.length);
  });

  test("differs for texts that would run together", () => {
    const texts = fc.tuple(fc.string(), fc.string());
    fc.assert(
      fc.property(texts, texts, (one, other) => {
        expect(stateHash(one) === stateHash(other)).toBe(one[0] === other[0] && one[1] === other[1]);
      }),
      { numRuns: 300 },
    );
  });

  test("the hash of each field tells where two states differ", () => {
    const one = fieldHashes({ a: 1, b: SortedMap.from([["x", 1]]), c: "same" });
    const other = fieldHashes({ a: 1, b: SortedMap.from([["x", 2]]), c: "same" });
    expect(Object.keys(one)).toEqual(["a", "b", "c"]);
    expect(Object.keys(one).filter((field) => one[field] !== other[field])).toEqual(["b"]);
  });

  test("refuses what is not plain", () => {
    expect(() => stateHash({ a: undefined })).toThrow("the state is plain");
    expect(() => stateHash({ a: () => 1 })).toThrow("the state is plain");
  });
});
