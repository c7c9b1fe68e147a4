import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromJson, type Json, toJson } from "./plain.ts";
import { SortedMap } from "./sorted-map.ts";

const keys = fc.string({ maxLength: 6 }).filter((key) => !key.startsWith("$") && key !== "__proto__");

const values: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.string(),
    fc.uint8Array({ maxLength: 9 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(keys, tie("value"), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(fc.string(), tie("value")), { maxLength: 4 }).map((entries) => SortedMap.from(entries)),
    fc.array(fc.tuple(fc.nat(), tie("value")), { maxLength: 4 }).map((entries) => SortedMap.from(entries)),
  ),
})).value;

/** Maps as something that `toEqual` can look into. */
function opened(value: unknown): unknown {
  if (value instanceof SortedMap) {
    return { map: [...value.entries()].map(([key, entry]) => [key, opened(entry)]) };
  }
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (Array.isArray(value)) return value.map(opened);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, opened(entry)]));
}

describe("plain values as JSON", () => {
  test("come back as they were, through text", () => {
    fc.assert(
      fc.property(values, (value) => {
        const back = fromJson(JSON.parse(JSON.stringify(toJson(value))) as Json);
        expect(opened(back)).toEqual(opened(value));
      }),
      { numRuns: 300 },
    );
  });

  test("what is no plain value is refused: it must not get into a state unnoticed", () => {
    const refused = [
      undefined,
      () => 1,
      Symbol("s"),
      Number.NaN,
      Infinity,
      new Date(0),
      new Map(),
      new Set(),
    ];
    for (const value of refused) expect(() => toJson({ value })).toThrow();
  });

  test.each<Json>([
    { $u64: 12 },
    { $u64: "-1" },
    { $u64: "1e3" },
    { $u64: "123456789012345678901" },
    { $bytes: 1 },
    { $bytes: "***" },
    { $map: {} },
    { $map: [1] },
    { $other: 1 },
  ])("%j is refused", (json) => {
    expect(() => fromJson(json)).toThrow();
  });

  test("maps keep their order and the type of their keys", () => {
    const map = SortedMap.from([
      [10, "b"],
      [9, "a"],
    ] as const);
    expect(toJson(map)).toEqual({
      $map: [
        [9, "a"],
        [10, "b"],
      ],
    });
  });
});
