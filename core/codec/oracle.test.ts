import { deserialize, serialize } from "borsh";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../bytes.ts";
import { decode, encode } from "./codec.ts";
import { option, string, struct, u8, union, vec } from "./schema.ts";
import { MESSAGES, noiseFor, toBorsh } from "./testing.ts";

const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * What the borsh package (2.0.0) accepts and the protocol does not: bytes after the value, text that is not UTF-8,
 * lengths outside their bounds, and the checks of refined schemas, of which it knows nothing.
 */
const KNOWN_LAXNESS =
  /bytes follow the value|is not UTF-8|length \d+ exceeds|has \d+ entries|(?:reason|pool) \d+ is unknown|limit \d+ is not in|count \d+ exceeds|a Next for no chunk|not sorted and disjoint/;

describe.each(MESSAGES)("borsh package as oracle: $name", (message) => {
  const { schema, values } = message;
  const oracle = toBorsh(schema.shape);

  test("both encode a value to the same bytes", () => {
    fc.assert(
      fc.property(values, (value) => {
        const expected = serialize(oracle.schema, oracle.toBorsh(value));
        expect(toHex(encode(schema, value))).toBe(toHex(expected));
      }),
      { numRuns: 20 },
    );
  });

  test("the package reads from our bytes the value we wrote", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(oracle.fromBorsh(deserialize(oracle.schema, encode(schema, value)))).toEqual(value);
      }),
      { numRuns: 20 },
    );
  });

  test("what our reader accepts the package reads alike; what only the package accepts is its known laxness", () => {
    fc.assert(
      fc.property(noiseFor(message), (noise) => {
        const ours = decode(schema, noise, NO_LIMIT);
        const theirs = attempt(() => oracle.fromBorsh(deserialize(oracle.schema, noise)));
        if (ours.tag === "decoded") expect(theirs).toEqual({ value: ours.value });
        else if (theirs !== undefined) expect(ours.detail).toMatch(KNOWN_LAXNESS);
      }),
      { numRuns: 40 },
    );
  });
});

describe("borsh package: the laxness that our reader exists for", () => {
  test("it ignores bytes after the value", () => {
    const schema = struct({ n: u8 });
    const bytes = Uint8Array.of(1, 2);
    expect(deserialize(toBorsh(schema.shape).schema, bytes)).toEqual({ n: 1 });
    expect(decode(schema, bytes, 9)).toMatchObject({ detail: "1 bytes follow the value" });
  });

  test("it reads text that is not UTF-8", () => {
    const schema = string(9);
    const bytes = Uint8Array.of(1, 0, 0, 0, 0x80);
    expect(attempt(() => deserialize("string", bytes))).toBeDefined();
    expect(decode(schema, bytes, 9)).toMatchObject({ detail: "is not UTF-8" });
  });

  test("it reads overlong text, a second encoding of the same value", () => {
    const bytes = Uint8Array.of(2, 0, 0, 0, 0xc1, 0x81);
    expect(deserialize("string", bytes)).toBe("A");
    expect(decode(string(9), bytes, 9)).toMatchObject({ detail: "is not UTF-8" });
  });

  test("it knows no bounds", () => {
    const schema = vec(u8, 1);
    const bytes = Uint8Array.of(2, 0, 0, 0, 7, 7);
    expect(deserialize(toBorsh(schema.shape).schema, bytes)).toEqual([7, 7]);
    expect(decode(schema, bytes, 9)).toMatchObject({ detail: "length 2 exceeds 1" });
  });

  test("it takes every bool but 0 for true: the protocol has options and enums instead, which are checked", () => {
    expect(deserialize("bool", Uint8Array.of(2))).toBe(true);
    expect(decode(option(u8), Uint8Array.of(2, 0), 9)).toMatchObject({ detail: "option has tag 2" });
  });

  test("it misses the first tag after the last by one and stumbles over it", () => {
    const schema = union({ a: {}, b: {} });
    expect(() => deserialize(toBorsh(schema.shape).schema, Uint8Array.of(2))).toThrow(TypeError);
    expect(decode(schema, Uint8Array.of(2), 9)).toMatchObject({ detail: "tag 2 is unknown" });
  });
});

function attempt<T>(read: () => T): { readonly value: T } | undefined {
  try {
    return { value: read() };
  } catch {
    return undefined;
  }
}
