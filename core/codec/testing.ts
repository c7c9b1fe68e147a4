import type { Schema as BorshSchema } from "borsh";
import fc, { type Arbitrary } from "fast-check";
import { bodySchema, commitmentSchema, headerSchema, snarkInfoSchema } from "../block.ts";
import { concatBytes, fromHex, type Hex, toHex } from "../bytes.ts";
import { CHANNEL_NAMES, CHANNELS, type ChannelName } from "../channels/table.ts";
import { ENVELOPE_BYTES_MAX, INFOS_MAX, MESSAGE_BYTES_MAX } from "../limits.ts";
import { prioritySchema } from "../priority.ts";
import { REASONS, REJECTIONS } from "../reasons.ts";
import {
  envelopeSchema,
  offerSchema,
  replySchema,
  unsignedAnswerSchema,
  unsignedOfferSchema,
  unsignedRejectedSchema,
} from "../signals.ts";
import type { Schema, Shape } from "./schema.ts";

// What the tests of the codec share. Everything here is derived from shapes, never from `read` and `write`.

const UINT_BITS = { u8: 8, u16: 16, u32: 32, u64: 64 } as const;
const LENGTH_BYTES = 4;
const TAG_BYTES = 1;
/** Encodings at a length's maximum are tried as far as they stay below this: they cost time. */
const BOUNDARY_BYTES_MAX = 40_000;

export interface Message {
  readonly name: string;
  readonly schema: Schema<unknown>;
  readonly bytesMax: number;
  /** Any valid value, now and then with a length at its maximum. */
  readonly values: Arbitrary<unknown>;
}

/** Generators of what a shape does not know: the checks of refined schemas, by the end of their path. */
export type Refinements = Readonly<Record<string, Arbitrary<unknown>>>;

/** The borsh package's view of a shape: its schema, and values in both directions. */
export interface BorshOracle {
  readonly schema: BorshSchema;
  toBorsh(value: unknown): unknown;
  fromBorsh(value: unknown): unknown;
}

/** The encoding of one value, and where it carries lengths. */
export interface Layout {
  readonly bytes: Uint8Array;
  readonly lengths: readonly LengthField[];
}

export interface LengthField {
  /** As a decode error names it. */
  readonly path: string;
  readonly offset: number;
  readonly max: number;
}

interface Draft {
  readonly bytes: number[];
  readonly lengths: LengthField[];
}

/** @param path steps from the root, a union's tag counted as one: what `refinements` are looked up by */
export function arbitraryOf(shape: Shape, refinements: Refinements = {}, path = ""): Arbitrary<unknown> {
  const refined = Object.keys(refinements).find((end) => path === end || path.endsWith(`.${end}`));
  if (refined !== undefined) return refinements[refined] ?? fc.constant(undefined);
  switch (shape.tag) {
    case "u8":
    case "u16":
    case "u32":
      return fc.integer({ min: 0, max: 2 ** UINT_BITS[shape.tag] - 1 });
    case "u64":
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case "hex":
      return fixedHex(shape.length);
    case "bytes":
      return fixedHex(shape.length).map(fromHex);
    case "bytesUpTo":
      return lengths(0, shape.max, 1).chain(patternBytes);
    case "string":
      return textUpTo(shape.max);
    case "vec": {
      const item = arbitraryOf(shape.item, refinements, path);
      return lengths(shape.min, shape.max, greatestSize(shape.item)).chain((length) =>
        fc.array(item, { minLength: length, maxLength: length }),
      );
    }
    case "option":
      return fc.option(arbitraryOf(shape.some, refinements, path), { nil: null, freq: 2 });
    case "struct":
      return fc.record(
        Object.fromEntries(
          shape.fields.map(([name, field]) => [name, arbitraryOf(field, refinements, join(path, name))]),
        ),
        { noNullPrototype: true },
      );
    case "union":
      return fc.oneof(
        ...shape.cases.map(([tag, fields]) =>
          arbitraryOf(fields, refinements, join(path, tag)).map((value) => ({ tag, ...asRecord(value) })),
        ),
      );
  }
}

/** The borsh package knows no unions with inline fields: a case becomes a struct under its tag. */
export function toBorsh(shape: Shape): BorshOracle {
  switch (shape.tag) {
    case "u8":
    case "u16":
    case "u32":
    case "u64":
    case "string":
      return { schema: shape.tag, toBorsh: (value) => value, fromBorsh: (value) => value };
    case "hex":
      return {
        schema: { array: { type: "u8", len: shape.length } },
        toBorsh: (value) => Array.from(fromHex(value as string)),
        fromBorsh: (value) => toHex(Uint8Array.from(value as number[])),
      };
    case "bytes":
    case "bytesUpTo":
      return {
        schema: { array: shape.tag === "bytes" ? { type: "u8", len: shape.length } : { type: "u8" } },
        toBorsh: (value) => Array.from(value as Uint8Array),
        fromBorsh: (value) => Uint8Array.from(value as number[]),
      };
    case "vec": {
      const item = toBorsh(shape.item);
      return {
        schema: { array: { type: item.schema } },
        toBorsh: (value) => asArray(value).map(item.toBorsh),
        fromBorsh: (value) => asArray(value).map(item.fromBorsh),
      };
    }
    case "option": {
      const some = toBorsh(shape.some);
      return {
        schema: { option: some.schema },
        toBorsh: (value) => (value === null ? null : some.toBorsh(value)),
        fromBorsh: (value) => (value === null ? null : some.fromBorsh(value)),
      };
    }
    case "struct": {
      const fields = shape.fields.map(([name, field]) => [name, toBorsh(field)] as const);
      return {
        schema: { struct: Object.fromEntries(fields.map(([name, { schema }]) => [name, schema])) },
        toBorsh: (value) =>
          Object.fromEntries(fields.map(([name, field]) => [name, field.toBorsh(asRecord(value)[name])])),
        fromBorsh: (value) =>
          Object.fromEntries(fields.map(([name, field]) => [name, field.fromBorsh(asRecord(value)[name])])),
      };
    }
    case "union": {
      const cases = new Map(shape.cases.map(([tag, fields]) => [tag, toBorsh(fields)]));
      return {
        schema: { enum: Array.from(cases, ([tag, { schema }]) => ({ struct: { [tag]: schema } })) },
        toBorsh: (value) => {
          const { tag, ...fields } = asRecord(value);
          return { [String(tag)]: cases.get(String(tag))?.toBorsh(fields) };
        },
        fromBorsh: (value) => {
          const [tag = ""] = Object.keys(asRecord(value));
          return { tag, ...asRecord(cases.get(tag)?.fromBorsh(asRecord(value)[tag])) };
        },
      };
    }
  }
}

/**
 * A dumb second encoder, with the places of all lengths. Nothing the tests feed the reader with comes from the
 * writer under test.
 */
export function layoutOf(shape: Shape, value: unknown): Layout {
  const into: Draft = { bytes: [], lengths: [] };
  put(shape, value, "", into);
  return { bytes: Uint8Array.from(into.bytes), lengths: into.lengths };
}

/** Paths of all length fields of a shape, with `*` for the index of an entry. */
export function lengthPathsOf(shape: Shape, path = ""): readonly string[] {
  switch (shape.tag) {
    case "bytesUpTo":
    case "string":
      return [path];
    case "vec":
      return [path, ...lengthPathsOf(shape.item, join(path, "*"))];
    case "option":
      return lengthPathsOf(shape.some, path);
    case "struct":
      return shape.fields.flatMap(([name, field]) => lengthPathsOf(field, join(path, name)));
    case "union":
      return shape.cases.flatMap(([, fields]) => lengthPathsOf(fields, path));
    default:
      return [];
  }
}

/** Bytes of the longest encoding a shape allows. */
export function greatestSize(shape: Shape): number {
  switch (shape.tag) {
    case "u8":
    case "u16":
    case "u32":
    case "u64":
      return UINT_BITS[shape.tag] / 8;
    case "hex":
    case "bytes":
      return shape.length;
    case "bytesUpTo":
    case "string":
      return LENGTH_BYTES + shape.max;
    case "vec":
      return LENGTH_BYTES + shape.max * greatestSize(shape.item);
    case "option":
      return TAG_BYTES + greatestSize(shape.some);
    case "struct":
      return shape.fields.reduce((sum, [, field]) => sum + greatestSize(field), 0);
    case "union":
      return TAG_BYTES + Math.max(...shape.cases.map(([, fields]) => greatestSize(fields)));
  }
}

/** Bytes that were an encoding, and are cut, extended, or changed here and there. */
export const damaged = (encoded: Uint8Array): Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.nat({ max: encoded.length }).map((length) => encoded.slice(0, length)),
    fc.uint8Array({ minLength: 1, maxLength: 8 }).map((tail) => concatBytes(encoded, tail)),
    fc
      .array(fc.tuple(fc.nat({ max: Math.max(0, encoded.length - 1) }), byteArbitrary()), {
        minLength: 1,
        maxLength: 4,
      })
      .map((changes) => {
        const bytes = encoded.slice();
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        return bytes;
      }),
    // The head decides most: tags and the first lengths.
    fc.tuple(fc.nat({ max: Math.min(encoded.length, 12) }), fc.nat({ max: 4 })).map(([at, byte]) => {
      const bytes = encoded.slice();
      if (at < bytes.length) bytes[at] = byte;
      return bytes;
    }),
  );

/** What arrives from a peer: noise, or damaged encodings of the message. */
export const noiseFor = ({ schema, values }: Message): Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 600 }) },
    { weight: 1, arbitrary: headedNoise() },
    { weight: 4, arbitrary: values.chain((value) => damaged(layoutOf(schema.shape, value).bytes)) },
  );

const sortedRanges = fc
  .uniqueArray(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 0, maxLength: 12 })
  .map((ends) => ends.sort((a, b) => (a < b ? -1 : 1)))
  .chain((ends) =>
    fc
      .array(rangeBody(), { minLength: ends.length >>> 1, maxLength: ends.length >>> 1 })
      .map((bodies) => bodies.map((body, at) => ({ from: ends[2 * at], to: ends[2 * at + 1], body }))),
  );

const permit: Refinements = { "getNext.limit": fc.integer({ min: 1, max: INFOS_MAX }) };

/** What the shapes of the channels do not say. */
const REFINED: { readonly [Name in ChannelName]?: Refinements } = {
  control: { "goodbye.reason": fc.nat({ max: REASONS.length - 1 }) },
  transaction: permit,
  snark: permit,
  "snark-job-commitment": permit,
  rpc: { pool: fc.nat({ max: 2 }), "ancestry.count": fc.nat({ max: 128 }), ranges: sortedRanges },
  "streaming-rpc": { "next.count": fc.integer({ min: 1, max: 255 }) },
};

/** Every message and struct that has bytes of its own. */
export const MESSAGES: readonly Message[] = [
  ...CHANNEL_NAMES.map((name) =>
    message(name, CHANNELS[name].schema as Schema<unknown>, CHANNELS[name].bytesMax, REFINED[name]),
  ),
  message("offer", offerSchema, ENVELOPE_BYTES_MAX),
  message("offer without signature", unsignedOfferSchema, ENVELOPE_BYTES_MAX),
  message("reply", replySchema, ENVELOPE_BYTES_MAX, {
    "rejected.reason": fc.nat({ max: REJECTIONS.length - 1 }),
  }),
  message("answer without signature", unsignedAnswerSchema, ENVELOPE_BYTES_MAX),
  message("rejected without signature", unsignedRejectedSchema, ENVELOPE_BYTES_MAX, {
    reason: fc.nat({ max: REJECTIONS.length - 1 }),
  }),
  message("envelope", envelopeSchema, ENVELOPE_BYTES_MAX),
  message("priority", prioritySchema, MESSAGE_BYTES_MAX),
  message("header", headerSchema, MESSAGE_BYTES_MAX),
  message("snark info", snarkInfoSchema, MESSAGE_BYTES_MAX),
  message("commitment", commitmentSchema, MESSAGE_BYTES_MAX),
  message("block body", bodySchema, MESSAGE_BYTES_MAX),
];

function message<T>(name: string, schema: Schema<T>, bytesMax: number, refinements?: Refinements): Message {
  return {
    name,
    schema: schema as Schema<unknown>,
    bytesMax,
    values: arbitraryOf(schema.shape, refinements),
  };
}

function lengths(min: number, max: number, itemSize: number): Arbitrary<number> {
  const few = fc.integer({ min, max: Math.min(max, min + 4) });
  if (max * itemSize > BOUNDARY_BYTES_MAX) return few;
  return fc.oneof({ weight: 40, arbitrary: few }, { weight: 1, arbitrary: fc.constant(max) });
}

function fixedHex(length: number): Arbitrary<Hex> {
  return fc
    .bigInt({ min: 0n, max: 2n ** BigInt(8 * length) - 1n })
    .map((value) => value.toString(16).padStart(2 * length, "0"));
}

function patternBytes(length: number): Arbitrary<Uint8Array> {
  return fc.nat({ max: 255 }).map((first) => Uint8Array.from({ length }, (_, index) => first + 7 * index));
}

/** Of any code points, and of exactly `max` bytes, one to four for each character. */
function textUpTo(max: number): Arbitrary<string> {
  const full = ["x", "é", "€", "🐝"].map((character, index) => {
    const width = index + 1;
    return character.repeat(Math.floor(max / width)) + "x".repeat(max % width);
  });
  return fc.oneof(
    { weight: 40, arbitrary: fc.string({ unit: "binary", maxLength: Math.min(16, Math.floor(max / 4)) }) },
    { weight: 1, arbitrary: fc.constantFrom(...full) },
  );
}

function rangeBody(): Arbitrary<unknown> {
  const u64s = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const count = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  return fc.oneof(
    fc.record({ tag: fc.constant("fingerprint"), count, xor: u64s, sum: u64s }, { noNullPrototype: true }),
    fc.record({ tag: fc.constant("ids"), ids: fc.array(u64s, { maxLength: 5 }) }, { noNullPrototype: true }),
  );
}

const byteArbitrary = (): Arbitrary<number> => fc.integer({ min: 0, max: 255 });

/** Noise behind tags that exist, so that it is not refused at the first byte. */
const headedNoise = (): Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.nat({ max: 9 }), fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 300 }))
    .map(([tag, next, tail]) => Uint8Array.of(tag, next, ...tail));

function put(shape: Shape, value: unknown, path: string, into: Draft): void {
  switch (shape.tag) {
    case "u8":
    case "u16":
    case "u32":
    case "u64":
      putUint(BigInt(value as number | bigint), UINT_BITS[shape.tag] / 8, into);
      break;
    case "hex":
      putAll(fromHex(value as string), into);
      break;
    case "bytes":
      putAll(value as Uint8Array, into);
      break;
    case "bytesUpTo":
    case "string": {
      const content = shape.tag === "string" ? utf8Of(value as string) : (value as Uint8Array);
      putLength(content.length, path, shape.max, into);
      putAll(content, into);
      break;
    }
    case "vec":
      putLength(asArray(value).length, path, shape.max, into);
      for (const [index, item] of asArray(value).entries())
        put(shape.item, item, join(path, String(index)), into);
      break;
    case "option":
      putUint(value === null ? 0n : 1n, TAG_BYTES, into);
      if (value !== null) put(shape.some, value, path, into);
      break;
    case "struct":
      for (const [name, field] of shape.fields) put(field, asRecord(value)[name], join(path, name), into);
      break;
    case "union": {
      const { tag } = asRecord(value);
      const number = shape.cases.findIndex(([name]) => name === tag);
      putUint(BigInt(number), TAG_BYTES, into);
      const found = shape.cases[number];
      if (found !== undefined) put(found[1], value, path, into);
    }
  }
}

function putUint(value: bigint, width: number, into: Draft): void {
  for (let index = 0; index < width; index++) into.bytes.push(Number((value >> BigInt(8 * index)) & 0xffn));
}

function putLength(length: number, path: string, max: number, into: Draft): void {
  into.lengths.push({ path, offset: into.bytes.length, max });
  putUint(BigInt(length), LENGTH_BYTES, into);
}

function putAll(bytes: Iterable<number>, into: Draft): void {
  for (const byte of bytes) into.bytes.push(byte);
}

/** UTF-8 by its definition, code point by code point. */
function utf8Of(text: string): readonly number[] {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0).flatMap((code) => {
    const rest = (shift: number): number => 0x80 | ((code >> shift) & 0x3f);
    if (code < 0x80) return [code];
    if (code < 0x800) return [0xc0 | (code >> 6), rest(0)];
    if (code < 0x10000) return [0xe0 | (code >> 12), rest(6), rest(0)];
    return [0xf0 | (code >> 18), rest(12), rest(6), rest(0)];
  });
}

function join(path: string, step: string): string {
  return path === "" ? step : `${path}.${step}`;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return value as Record<string, unknown>;
}

function asArray(value: unknown): readonly unknown[] {
  return value as readonly unknown[];
}
