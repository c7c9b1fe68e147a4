import { type Hex, toHex } from "../bytes.ts";
import type { Schema } from "../codec/schema.ts";

/*
 * Golden vectors: golden.json pins the bytes of every message for other implementations. The bytes are written
 * down here by hand from docs/protocol.md, field by field, and never taken from the codec, so that a field in the
 * wrong place is found. A vector that exists does not change: it is what other nodes speak.
 *
 * All fixed-size fields are runs of consecutive bytes, named by their first byte and length, each different.
 */

export interface Vector {
  readonly name: string;
  readonly description: string;
  readonly schema: Schema<unknown>;
  readonly value: unknown;
  readonly bytes: Uint8Array;
}

export function vector<T>(
  name: string,
  description: string,
  schema: Schema<T>,
  value: T,
  ...parts: readonly Uint8Array[]
): Vector {
  return { name, description, schema: schema as Schema<unknown>, value, bytes: join(...parts) };
}

export const byte = (value: number): Uint8Array => Uint8Array.of(value);

export const NONE = byte(0);
export const SOME = byte(1);

export const u16 = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >>> 8);

export const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);

export const u64 = (value: bigint): Uint8Array =>
  join(u32(Number(value & 0xffff_ffffn)), u32(Number(value >> 32n)));

/** UTF-8 with its length in bytes. */
export function text(content: string): Uint8Array {
  const escaped = encodeURIComponent(content).match(/%..|./g) ?? [];
  const encoded = escaped.map((one) =>
    one.length === 3 ? Number.parseInt(one.slice(1), 16) : one.charCodeAt(0),
  );
  return join(u32(encoded.length), Uint8Array.from(encoded));
}

/** `length` bytes that count up from `first`. */
export const run = (first: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (first + index) % 256);

export const hexRun = <T extends Hex = Hex>(first: number, length: number): T =>
  toHex(run(first, length)) as T;

export const join = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));
