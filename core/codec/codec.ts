import { DecodeError, Reader, Writer } from "./io.ts";
import type { Schema } from "./schema.ts";

export type Decoded<T> =
  | { readonly tag: "decoded"; readonly value: T }
  | { readonly tag: "failed"; readonly reason: "oversized" | "undecodable"; readonly detail: string };

/** Bytes from outside become a value or a reason here, and nowhere else. Size is checked before anything is read. */
export function decode<T>(schema: Schema<T>, bytes: Uint8Array, bytesMax: number): Decoded<T> {
  if (bytes.length > bytesMax) {
    return { tag: "failed", reason: "oversized", detail: `${bytes.length} bytes exceed ${bytesMax}` };
  }
  try {
    const from = new Reader(bytes);
    const value = schema.read(from);
    if (from.left > 0) throw new DecodeError(`${from.left} bytes follow the value`);
    return { tag: "decoded", value };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { tag: "failed", reason: "undecodable", detail: error.message };
  }
}

/** @throws AssertionError for a value outside the bounds of its schema: a bug of the caller */
export function encode<T>(schema: Schema<T>, value: T): Uint8Array {
  writer.clear();
  schema.write(writer, value);
  return writer.finish();
}

/** Grows to the longest message and stays: encoding allocates nothing but its result. */
const writer = new Writer();
