import { assert } from "../assert.ts";
import { fromHex, type Hex, isHex, toHex } from "../bytes.ts";
import { DecodeError, type Reader, type Writer } from "./io.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

/**
 * A codec as a value: strict Borsh, canonical encoding only, every length bounded before anything is allocated
 * for it. `shape` is the same thing as data; the tests derive from it the schema of the `borsh` package (their
 * oracle) and generators of values.
 */
export interface Schema<T> {
  read(from: Reader): T;
  write(to: Writer, value: T): void;
  readonly shape: Shape;
}

export type Shape =
  | { readonly tag: "u8" | "u16" | "u32" | "u64" }
  | { readonly tag: "hex" | "bytes"; readonly length: number }
  | { readonly tag: "bytesUpTo" | "string"; readonly max: number }
  | { readonly tag: "vec"; readonly item: Shape; readonly min: number; readonly max: number }
  | { readonly tag: "option"; readonly some: Shape }
  | { readonly tag: "struct"; readonly fields: readonly (readonly [string, Shape])[] }
  | { readonly tag: "union"; readonly cases: readonly (readonly [string, Shape])[] };

export type Infer<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown>>>;
type Struct<F extends Fields> = { readonly [Name in keyof F]: Infer<F[Name]> };
type Union<C extends Readonly<Record<string, Fields>>> = {
  readonly [Tag in keyof C & string]: { readonly tag: Tag } & Struct<C[Tag]>;
}[keyof C & string];

export const u8: Schema<number> = {
  read: (from) => from.u8(),
  write: (to, value) => to.u8(value),
  shape: { tag: "u8" },
};

export const u16: Schema<number> = {
  read: (from) => from.u16(),
  write: (to, value) => to.u16(value),
  shape: { tag: "u16" },
};

export const u32: Schema<number> = {
  read: (from) => from.u32(),
  write: (to, value) => to.u32(value),
  shape: { tag: "u32" },
};

export const u64: Schema<bigint> = {
  read: (from) => from.u64(),
  write: (to, value) => to.u64(value),
  shape: { tag: "u64" },
};

/** `bytes(n)` of the protocol for what lives in the state (hashes, keys, nonces): hexadecimal text in the value. */
export function hex<T extends Hex = Hex>(length: number): Schema<T> {
  return {
    read: (from) => toHex(from.bytes(length)) as T,
    write: (to, value) => {
      assert(isHex(value, length), "encoded hexadecimal text has the length of its type");
      to.bytes(fromHex(value));
    },
    shape: { tag: "hex", length },
  };
}

/** `bytes(n)` of the protocol for what passes through: a view of the message. */
export function bytes(length: number): Schema<Uint8Array> {
  return {
    read: (from) => from.bytes(length),
    write: (to, value) => {
      assert(value.length === length, "encoded bytes have the length of their type");
      to.bytes(value);
    },
    shape: { tag: "bytes", length },
  };
}

/** `bytes<=n` of the protocol. */
export function bytesUpTo(max: number): Schema<Uint8Array> {
  return {
    read: (from) => from.bytes(readLength(from, max)),
    write: (to, value) => {
      writeLength(to, value.length, max);
      to.bytes(value);
    },
    shape: { tag: "bytesUpTo", max },
  };
}

/** `string<=n` of the protocol: UTF-8, the bound counts bytes. */
export function string(max: number): Schema<string> {
  return {
    read: (from) => decodeUtf8(from.bytes(readLength(from, max))),
    write: (to, value) => {
      const encoded = encodeUtf8(value);
      writeLength(to, encoded.length, max);
      to.bytes(encoded);
    },
    shape: { tag: "string", max },
  };
}

/** `vec<T><=n` of the protocol. */
export function vec<T>(item: Schema<T>, max: number, min = 0): Schema<readonly T[]> {
  return {
    read: (from) => {
      const length = readLength(from, max);
      if (length < min) throw new DecodeError(`has ${length} entries, at least ${min} are needed`);
      const values: T[] = [];
      for (let index = 0; index < length; index++) {
        values.push(readWithin(from, item, String(index)));
      }
      return values;
    },
    write: (to, values) => {
      assert(values.length >= min, "an encoded vec has its least length");
      writeLength(to, values.length, max);
      for (const value of values) item.write(to, value);
    },
    shape: { tag: "vec", item: item.shape, min, max },
  };
}

export function option<T>(some: Schema<T>): Schema<T | null> {
  return {
    read: (from) => {
      const tag = from.u8();
      if (tag > 1) throw new DecodeError(`option has tag ${tag}`);
      return tag === 0 ? null : some.read(from);
    },
    write: (to, value) => {
      to.u8(value === null ? 0 : 1);
      if (value !== null) some.write(to, value);
    },
    shape: { tag: "option", some: some.shape },
  };
}

/** Fields in the order they are listed. */
export function struct<F extends Fields>(fields: F): Schema<Struct<F>> {
  const entries = Object.entries(fields);
  return {
    read: (from) => {
      const value: Record<string, unknown> = {};
      readFields(from, entries, value);
      return value as Struct<F>;
    },
    write: (to, value) => writeFields(to, entries, value),
    shape: { tag: "struct", fields: entries.map(([name, schema]) => [name, schema.shape]) },
  };
}

/** An enum of the protocol: tags count in the order the cases are listed, fields stand directly on the value. */
export function union<C extends Readonly<Record<string, Fields>>>(cases: C): Schema<Union<C>> {
  const entries = Object.entries(cases).map(([tag, fields]) => ({ tag, fields: Object.entries(fields) }));
  return {
    read: (from) => {
      const number = from.u8();
      const found = entries[number];
      if (found === undefined) throw new DecodeError(`tag ${number} is unknown`);
      const value: Record<string, unknown> = { tag: found.tag };
      readFields(from, found.fields, value);
      return value as Union<C>;
    },
    write: (to, value) => {
      const number = entries.findIndex(({ tag }) => tag === value.tag);
      const found = entries[number];
      assert(found !== undefined, "an encoded union has a tag of its type");
      to.u8(number);
      writeFields(to, found.fields, value);
    },
    shape: {
      tag: "union",
      cases: entries.map(({ tag, fields }) => [
        tag,
        { tag: "struct", fields: fields.map(([name, schema]) => [name, schema.shape]) },
      ]),
    },
  };
}

/** Refuses values that the type alone does not: the check says what is wrong, or null. */
export function refined<T>(base: Schema<T>, check: (value: T) => string | null): Schema<T> {
  return {
    read: (from) => {
      const value = base.read(from);
      const wrong = check(value);
      if (wrong !== null) throw new DecodeError(wrong);
      return value;
    },
    write: (to, value) => {
      assert(check(value) === null, "an encoded value passes the checks of its type");
      base.write(to, value);
    },
    shape: base.shape,
  };
}

type Entries = readonly (readonly [string, Schema<unknown>])[];

function readFields(from: Reader, fields: Entries, into: Record<string, unknown>): void {
  for (const [name, schema] of fields) into[name] = readWithin(from, schema, name);
}

function writeFields(to: Writer, fields: Entries, value: Readonly<Record<string, unknown>>): void {
  for (const [name, schema] of fields) schema.write(to, value[name]);
}

function readWithin<T>(from: Reader, schema: Schema<T>, step: string): T {
  try {
    return schema.read(from);
  } catch (error) {
    throw error instanceof DecodeError ? error.within(step) : error;
  }
}

function readLength(from: Reader, max: number): number {
  const length = from.u32();
  if (length > max) throw new DecodeError(`length ${length} exceeds ${max}`);
  return length;
}

function writeLength(to: Writer, length: number, max: number): void {
  assert(length <= max, "an encoded length is within its bound");
  to.u32(length);
}
