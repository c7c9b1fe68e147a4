import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, toHex } from "../bytes.ts";
import { decode, encode } from "./codec.ts";
import { bytesUpTo, type Schema, string, struct, u8, u32, u64, union, vec } from "./schema.ts";
import { damaged, layoutOf, lengthPathsOf, MESSAGES, type Message, noiseFor } from "./testing.ts";

const NO_LIMIT = Number.MAX_SAFE_INTEGER;
/** Path of the field, a colon, and what is wrong; the path is missing for what concerns the whole message. */
const DETAIL = /^(?:[a-zA-Z]\w*(?:\.\w+)*: )?[a-z0-9][^:]+$/;

describe.each(MESSAGES)("codec: $name", (message: Message) => {
  const { schema, bytesMax, values } = message;

  test("a value is encoded as its shape says and decoded to itself", () => {
    fc.assert(
      fc.property(values, (value) => {
        const encoded = encode(schema, value);
        expect(toHex(encoded)).toBe(toHex(layoutOf(schema.shape, value).bytes));
        expect(decode(schema, encoded, NO_LIMIT)).toEqual({ tag: "decoded", value });
      }),
      { numRuns: 40 },
    );
  });

  test("whatever arrives is decoded, or refused with a reason and the path of the field", () => {
    fc.assert(
      fc.property(noiseFor(message), (noise) => {
        const result = decode(schema, noise, bytesMax);
        if (result.tag === "failed") {
          expect(result.reason).toBe(noise.length > bytesMax ? "oversized" : "undecodable");
          expect(result.detail).toMatch(DETAIL);
        }
      }),
      { numRuns: 80 },
    );
  });

  test("whatever is decoded is encoded to the same bytes: no value has two encodings", () => {
    let accepted = 0;
    fc.assert(
      fc.property(noiseFor(message), (noise) => {
        const result = decode(schema, noise, NO_LIMIT);
        if (result.tag === "failed") return;
        accepted++;
        expect(toHex(encode(schema, result.value))).toBe(toHex(noise));
      }),
      { numRuns: 80 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("no proper prefix of an encoding is accepted, and the path says where it ends", () => {
    const prefixes = values.chain((value) => {
      const { bytes } = layoutOf(schema.shape, value);
      return fc.nat({ max: bytes.length - 1 }).map((length) => bytes.subarray(0, length));
    });
    fc.assert(
      fc.property(prefixes, (prefix) => {
        const result = decode(schema, prefix, NO_LIMIT);
        expect(result).toMatchObject({ tag: "failed", reason: "undecodable" });
        const detail = result.tag === "failed" ? result.detail : "";
        expect(detail).toMatch(/needs \d+ bytes, \d+ are left$/);
        // Only the tag of a union belongs to no field.
        if (prefix.length > 0) expect(detail).toMatch(/^[a-zA-Z]\w*(\.\w+)*: /);
      }),
      { numRuns: 50 },
    );
  });

  test("bytes after an encoding are refused", () => {
    fc.assert(
      fc.property(values, fc.uint8Array({ minLength: 1, maxLength: 20 }), (value, tail) => {
        const extended = concatBytes(layoutOf(schema.shape, value).bytes, tail);
        const detail = `${tail.length} bytes follow the value`;
        expect(decode(schema, extended, NO_LIMIT)).toEqual({ tag: "failed", reason: "undecodable", detail });
      }),
      { numRuns: 20 },
    );
  });

  test("one byte over the maximum is refused as oversized, whatever the bytes are", () => {
    const value = fc.sample(values, { numRuns: 1, seed: 1 })[0];
    const valid = layoutOf(schema.shape, value).bytes;
    const detail = `${valid.length} bytes exceed ${valid.length - 1}`;
    expect(decode(schema, valid, valid.length)).toEqual({ tag: "decoded", value });
    expect(decode(schema, valid, valid.length - 1)).toEqual({ tag: "failed", reason: "oversized", detail });
    expect(decode(schema, new Uint8Array(bytesMax + 1), bytesMax)).toMatchObject({ reason: "oversized" });
    expect(decode(schema, new Uint8Array(bytesMax).fill(0xff), bytesMax)).toMatchObject({
      reason: "undecodable",
    });
  });

  test("a length beyond its maximum is refused before anything is read for it", () => {
    const places = new Set(lengthPathsOf(schema.shape));
    const covered = new Set<string>();
    for (let seed = 0; seed < 500 && covered.size < places.size; seed++) {
      const [value] = fc.sample(values, { numRuns: 1, seed });
      const { bytes, lengths } = layoutOf(schema.shape, value);
      for (const { path, offset, max } of lengths) {
        const place = path.replaceAll(/\b\d+\b/g, "*");
        if (covered.has(place)) continue;
        covered.add(place);
        for (const length of [0xffff_ffff, max + 1]) {
          // Nothing follows the length: a reader that looks for the content first reports its absence.
          const claiming = new Uint8Array(offset + 4);
          claiming.set(bytes.subarray(0, offset));
          new DataView(claiming.buffer).setUint32(offset, length, true);
          const detail = `${path}: length ${length} exceeds ${max}`;
          expect(decode(schema, claiming, NO_LIMIT)).toEqual({
            tag: "failed",
            reason: "undecodable",
            detail,
          });
        }
      }
    }
    expect([...covered].sort()).toEqual([...places].sort());
  });

  test("the bytes may lie anywhere in a buffer", () => {
    const value = fc.sample(values, { numRuns: 1, seed: 2 })[0];
    const { bytes } = layoutOf(schema.shape, value);
    const around = new Uint8Array(bytes.length + 20).fill(0xee);
    around.set(bytes, 7);
    expect(decode(schema, around.subarray(7, 7 + bytes.length), NO_LIMIT)).toEqual({ tag: "decoded", value });
  });
});

describe("codec: five bytes that claim 2^32 - 1 entries fail at the length", () => {
  const claims = [0xff, 0xff, 0xff, 0xff];
  const cases: readonly (readonly [string, Schema<unknown>, number])[] = [
    ["bytes", bytesUpTo(16_384), 16_384],
    ["text", string(256), 256],
    ["numbers", vec(u64, 4_096), 4_096],
    ["structs", vec(struct({ a: u32, b: string(9) }), 32), 32],
    ["vecs", vec(vec(u8, 9), 1_024), 1_024],
  ] as const;

  test.each(cases)("%s", (_, schema, max) => {
    const message = union({ only: { field: schema } });
    expect(decode(message, Uint8Array.of(0, ...claims), 64)).toEqual({
      tag: "failed",
      reason: "undecodable",
      detail: `field: length ${2 ** 32 - 1} exceeds ${max}`,
    });
  });

  test.each(cases)(
    "%s: a claim within the maximum fails at the first entry that is missing",
    (_, schema, max) => {
      const claim = new Uint8Array(4);
      new DataView(claim.buffer).setUint32(0, max, true);
      const result = decode(schema, claim, 64);
      expect(result).toMatchObject({ tag: "failed", reason: "undecodable" });
      expect(result.tag === "failed" && result.detail).toMatch(/^(0(\.a)?: )?needs \d+ bytes, 0 are left$/);
    },
  );
});

test("codec: a failure deep inside is named from the outside in", () => {
  const schema = struct({ outer: vec(union({ a: {}, b: { inner: vec(u32, 3) } }), 3) });
  const bytes = Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0);
  expect(decode(schema, bytes, 64)).toMatchObject({ detail: "outer.1.inner.1: needs 4 bytes, 2 are left" });
});

test("codec: an error that is not about the bytes is not swallowed", () => {
  const broken: Schema<number> = {
    ...u8,
    read: () => {
      throw new TypeError("a bug");
    },
  };
  expect(() => decode(struct({ broken }), Uint8Array.of(1), 64)).toThrow(TypeError);
});

test("codec: damage is real, or the laws above would hold for nothing", () => {
  const encoded = Uint8Array.from({ length: 40 }, (_, index) => index);
  const changed = fc.sample(damaged(encoded), { numRuns: 200, seed: 3 });
  const different = changed.filter((bytes) => toHex(bytes) !== toHex(encoded));
  expect(different.length).toBeGreaterThan(150);
  expect(different.some(({ length }) => length < encoded.length)).toBe(true);
  expect(different.some(({ length }) => length > encoded.length)).toBe(true);
  expect(different.some(({ length }) => length === encoded.length)).toBe(true);
});
