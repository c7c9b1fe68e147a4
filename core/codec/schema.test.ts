import { describe, expect, test } from "vitest";
import { AssertionError } from "../assert.ts";
import { decode, encode } from "./codec.ts";
import { Reader, Writer } from "./io.ts";
import {
  bytes,
  bytesUpTo,
  hex,
  option,
  refined,
  type Schema,
  string,
  struct,
  u8,
  u16,
  u32,
  u64,
  union,
  vec,
} from "./schema.ts";

const even = refined(u8, (value) => (value % 2 === 0 ? null : `${value} is odd`));
const pair = union({ none: {}, one: { a: u8 }, two: { a: u16, b: u8 } });

/** Schema, value and encoding, straight from the definition of Borsh. */
const ENCODINGS: readonly (readonly [string, Schema<unknown>, unknown, readonly number[]])[] = [
  ["u8 at its least", u8, 0, [0]],
  ["u8 at its greatest", u8, 255, [255]],
  ["u16, the low byte first", u16, 0x0102, [2, 1]],
  ["u16 at its greatest", u16, 0xffff, [0xff, 0xff]],
  ["u32, the low byte first", u32, 0x01020304, [4, 3, 2, 1]],
  ["u32 with its highest bit set", u32, 0x80000000, [0, 0, 0, 0x80]],
  ["u64, the low byte first", u64, 0x0102030405060708n, [8, 7, 6, 5, 4, 3, 2, 1]],
  ["u64 at its greatest", u64, 2n ** 64n - 1n, Array(8).fill(0xff)],
  ["fixed hexadecimal text without a length", hex(3), "00ff0a", [0, 0xff, 0x0a]],
  ["fixed bytes without a length", bytes(2), Uint8Array.of(9, 8), [9, 8]],
  ["bytes with a length", bytesUpTo(4), Uint8Array.of(9, 8), [2, 0, 0, 0, 9, 8]],
  ["no bytes", bytesUpTo(4), new Uint8Array(), [0, 0, 0, 0]],
  ["text of characters of one to four bytes", string(10), "aß€🐝", utf8("aß€🐝")],
  ["text with a byte order mark, which is kept", string(4), "\ufeffa", [4, 0, 0, 0, 0xef, 0xbb, 0xbf, 0x61]],
  ["text with a zero byte", string(2), "\0", [1, 0, 0, 0, 0]],
  ["a vec", vec(u16, 3), [1, 2], [2, 0, 0, 0, 1, 0, 2, 0]],
  ["a vec of a fixed length has its count too", vec(u8, 2, 2), [7, 8], [2, 0, 0, 0, 7, 8]],
  ["an absent option", option(u16), null, [0]],
  ["a present option", option(u16), 5, [1, 5, 0]],
  ["fields in order", struct({ b: u8, a: u16 }), { b: 1, a: 2 }, [1, 2, 0]],
  ["a case without fields", pair, { tag: "none" }, [0]],
  ["a case with fields", pair, { tag: "two", a: 3, b: 4 }, [2, 3, 0, 4]],
  ["a value that passes its check", even, 8, [8]],
];

test.each(ENCODINGS)("schema: %s", (_, schema, value, expected) => {
  expect([...encode(schema, value)]).toEqual(expected);
  expect(decode(schema, Uint8Array.from(expected), 64)).toEqual({ tag: "decoded", value });
});

const REFUSED: readonly (readonly [string, Schema<unknown>, readonly number[], string])[] = [
  ["an option tag of 2", option(u8), [2, 0], "option has tag 2"],
  ["an option tag of 255", option(u8), [255, 0], "option has tag 255"],
  ["the first tag after the last", pair, [3, 0, 0, 0], "tag 3 is unknown"],
  ["a tag of 255", pair, [255], "tag 255 is unknown"],
  ["one byte too many", bytesUpTo(1), [2, 0, 0, 0, 1, 1], "length 2 exceeds 1"],
  ["text of one byte too many, though of fewer characters", string(3), utf8("éé"), "length 4 exceeds 3"],
  ["one entry too many", vec(u8, 1), [2, 0, 0, 0, 1, 1], "length 2 exceeds 1"],
  ["one entry too few", vec(u8, 2, 2), [1, 0, 0, 0, 1], "has 1 entries, at least 2 are needed"],
  ["a value that fails its check", struct({ n: even }), [7], "n: 7 is odd"],
  ["nothing", u8, [], "needs 1 bytes, 0 are left"],
  ["text that begins with a continuation byte", string(9), text(0x80), "is not UTF-8"],
  ["text that ends within a character", string(9), text(0xe2, 0x82), "is not UTF-8"],
  ["overlong text", string(9), text(0xc0, 0x80), "is not UTF-8"],
  ["a surrogate in text", string(9), text(0xed, 0xa0, 0x80), "is not UTF-8"],
  ["a character above U+10FFFF", string(9), text(0xf4, 0x90, 0x80, 0x80), "is not UTF-8"],
  ["a byte that UTF-8 does not have", string(9), text(0xff), "is not UTF-8"],
];

test.each(REFUSED)("schema: %s is refused", (_, schema, input, detail) => {
  expect(decode(schema, Uint8Array.from(input), 64)).toEqual({
    tag: "failed",
    reason: "undecodable",
    detail,
  });
});

const UNENCODABLE: readonly (readonly [string, Schema<unknown>, unknown])[] = [
  ["a u8 of 256", u8, 256],
  ["a negative u8", u8, -1],
  ["a fraction", u16, 1.5],
  ["not a number", u32, Number.NaN],
  ["a u16 of 65536", u16, 65_536],
  ["a u32 of 2^32", u32, 2 ** 32],
  ["a u64 of 2^64", u64, 2n ** 64n],
  ["a negative u64", u64, -1n],
  ["hexadecimal text that is too short", hex(2), "00"],
  ["hexadecimal text that is too long", hex(2), "000000"],
  ["uppercase hexadecimal text", hex(1), "AB"],
  ["text that is not hexadecimal", hex(1), "0g"],
  ["fixed bytes of another length", bytes(2), new Uint8Array(3)],
  ["too many bytes", bytesUpTo(2), new Uint8Array(3)],
  ["text of too many bytes", string(3), "éé"],
  ["a vec of too many entries", vec(u8, 1), [1, 1]],
  ["a vec of too few entries", vec(u8, 2, 1), []],
  ["a tag that the union does not have", pair, { tag: "three" }],
  ["a value that fails its check", even, 7],
];

test.each(UNENCODABLE)("schema: %s is never encoded", (_, schema, value) => {
  expect(() => encode(schema, value)).toThrow(AssertionError);
});

describe("reader and writer", () => {
  test("a reader never reads beyond its end, and a failed read takes nothing", () => {
    const reader = new Reader(new Uint8Array(16).fill(7).subarray(4, 7));
    expect(() => reader.u32()).toThrow("needs 4 bytes, 3 are left");
    expect(() => reader.bytes(4)).toThrow("needs 4 bytes, 3 are left");
    expect([reader.left, reader.u16(), reader.u8(), reader.left]).toEqual([3, 0x0707, 7, 0]);
  });

  test("decoded bytes are a view of the message, not a copy", () => {
    const message = Uint8Array.of(1, 0, 0, 0, 5);
    const result = decode(bytesUpTo(1), message, 64);
    expect(result.tag === "decoded" && result.value.buffer === message.buffer).toBe(true);
  });

  const WIDTHS: readonly (readonly [string, Schema<unknown>, unknown, readonly number[]])[] = [
    ["u8", u8, 1, [1]],
    ["u16", u16, 0x0201, [1, 2]],
    ["u32", u32, 0x04030201, [1, 2, 3, 4]],
    ["u64", u64, 0x0807060504030201n, [1, 2, 3, 4, 5, 6, 7, 8]],
    ["bytes", bytes(3), Uint8Array.of(1, 2, 3), [1, 2, 3]],
  ];

  test.each(WIDTHS)(
    "a %s is written where it belongs when the writer grows for it",
    (_, schema, value, expected) => {
      for (let before = 0; before <= 1_100; before++) {
        const writer = new Writer();
        writer.bytes(new Uint8Array(before).fill(9));
        schema.write(writer, value);
        const written = writer.finish();
        expect([before, written.length, ...written.subarray(before)]).toEqual([
          before,
          before + expected.length,
          ...expected,
        ]);
      }
    },
  );

  test("what a writer wrote survives its growth, and its result is its own", () => {
    const writer = new Writer();
    const expected: number[] = [];
    for (let value = 0; value < 700; value++) {
      writer.u8(value % 256);
      writer.bytes(Uint8Array.of(value % 251, value % 241));
      expected.push(value % 256, value % 251, value % 241);
    }
    const first = writer.finish();
    writer.u8(1);
    expect([...first]).toEqual(expected);
    expect(first.buffer.byteLength).toBe(first.length);
  });
});

function text(...content: readonly number[]): readonly number[] {
  return [content.length, 0, 0, 0, ...content];
}

function utf8(content: string): readonly number[] {
  return text(...Buffer.from(content, "utf8"));
}
