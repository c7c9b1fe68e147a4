import { type Schema as BorshSchema, serialize } from "borsh";
import { controlSchema } from "../core/channels/control.ts";
import { transactionSchema } from "../core/channels/permits.ts";
import { rpcSchema } from "../core/channels/rpc.ts";
import { decode, encode } from "../core/codec/codec.ts";
import type { Schema } from "../core/codec/schema.ts";
import { MESSAGE_BYTES_MAX } from "../core/limits.ts";
import { compare, print, rounded, type Variant } from "./measure.ts";
import { infoOf } from "./states.ts";

/** What a message costs to encode and decode, and the same bytes through the borsh package. */
export function benchCodec(): void {
  const window = { seq: 7, floor: null, band: null };
  const items = Array.from({ length: 32 }, (_, index) => infoOf(index));
  const body = new Uint8Array(16_384);
  measure("control Ping", controlSchema, { tag: "ping", n: 1 });
  measure("transaction GetNext", transactionSchema, { tag: "getNext", limit: 32, window, resume: null });
  measure("transaction Infos of 32", transactionSchema, {
    tag: "infos",
    cursor: { epoch: 1n, next: 32n },
    seq: 7,
    rest: null,
    items,
  });
  measure("rpc request of 16", rpcSchema, {
    tag: "request",
    id: 3,
    body: { tag: "transactions", hashes: items.slice(0, 16).map(({ hash }) => hash) },
  });
  measure("rpc response of 16 KiB", rpcSchema, {
    tag: "response",
    id: 3,
    body: { tag: "items", found: [{ tag: "some", bytes: body }] },
  });
  compareWithPackage(body);
}

function measure<T>(message: string, schema: Schema<T>, value: T): void {
  const bytes = encode(schema, value);
  const [encoding, decoding] = compare([
    repeated("encode", () => encode(schema, value)),
    repeated("decode", () => decode(schema, bytes, MESSAGE_BYTES_MAX)),
  ]);
  print({
    bench: "codec",
    message,
    bytes: bytes.length,
    encodeUs: rounded(encoding?.medianUs ?? Number.NaN),
    decodeUs: rounded(decoding?.medianUs ?? Number.NaN),
  });
}

/** Why the codec is our own and the package its oracle: the same values through both. */
function compareWithPackage(body: Uint8Array): void {
  const schema: BorshSchema = {
    struct: { hash: { array: { type: "u8", len: 32 } }, fee: "u64", bytes: { array: { type: "u8" } } },
  };
  const value = { hash: new Uint8Array(32), fee: 5n, bytes: body };
  const found = {
    tag: "response",
    id: 3,
    body: { tag: "items", found: [{ tag: "some", bytes: body }] },
  } as const;
  const [ours, theirs] = compare([
    repeated("ours", () => encode(rpcSchema, found)),
    repeated("borsh package", () => serialize(schema, value)),
  ]);
  const ratio = (theirs?.medianUs ?? Number.NaN) / (ours?.medianUs ?? Number.NaN);
  print({ bench: "codec", message: "16 KiB of bytes, borsh package against ours", ratio: rounded(ratio) });
}

const repeated = (name: string, once: () => unknown): Variant => ({
  name,
  operations: 1,
  run: (count) => {
    for (let done = 0; done < count; done++) once();
  },
});
