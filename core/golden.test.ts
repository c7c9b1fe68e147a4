import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Hex } from "./bytes.ts";
import { controlSchema } from "./channels/control.ts";
import { rpcSchema } from "./channels/rpc.ts";
import { transactionSchema } from "./channels/transaction.ts";
import { decode, encode } from "./codec/codec.ts";
import type { Schema } from "./codec/schema.ts";
import { hash, itemHash } from "./hash.ts";
import type { Hash } from "./ids.ts";
import { MESSAGE_BYTES_MAX } from "./limits.ts";
import {
  envelopeSchema,
  type Offer,
  offerHash,
  offerSchema,
  type Reply,
  replySchema,
  sessionOf,
  signalDigest,
} from "./signals.ts";

/*
 * Golden vectors: golden.json pins the bytes of every message for other implementations. The bytes are written
 * down here by hand from docs/protocol.md, field by field, and never taken from the codec, so that a field in the
 * wrong place is found. A vector that exists does not change: it is what other nodes speak.
 *
 * All fixed-size fields are runs of consecutive bytes, named by their first byte and length, each different.
 */

interface Vector {
  readonly name: string;
  readonly description: string;
  readonly schema: Schema<unknown>;
  readonly value: unknown;
  readonly bytes: Uint8Array;
}

interface GoldenHash {
  readonly name: string;
  readonly description: string;
  readonly expected: Uint8Array;
  readonly ours: () => Hex;
}

function vector<T>(
  name: string,
  description: string,
  schema: Schema<T>,
  value: T,
  ...parts: readonly Uint8Array[]
): Vector {
  return { name, description, schema: schema as Schema<unknown>, value, bytes: join(...parts) };
}

const NONE = byte(0);
const SOME = byte(1);

const priorityA = {
  value: { class: 0x0102, hash: hexRun(0x40, 32) },
  bytes: join(u16(0x0102), run(0x40, 32)),
};
const priorityB = { value: { class: 65_535, hash: hexRun(0, 32) }, bytes: join(u16(65_535), run(0, 32)) };
const cursor = {
  value: { epoch: 0x1122334455667788n, next: 300n },
  bytes: join(u64(0x1122334455667788n), u64(300n)),
};

const infos = [
  {
    value: { hash: hexRun(0x50, 32), fee: 1_000_000_007n, sender: hexRun(0x60, 32), nonce: 9 },
    bytes: join(run(0x50, 32), u64(1_000_000_007n), run(0x60, 32), u32(9)),
  },
  {
    value: { hash: hexRun(0x51, 32), fee: 2n ** 64n - 1n, sender: hexRun(0x61, 32), nonce: 0xffff_fffe },
    bytes: join(run(0x51, 32), u64(2n ** 64n - 1n), run(0x61, 32), u32(0xffff_fffe)),
  },
] as const;

const snarkInfo = {
  value: { jobId: hexRun(0x70, 32), hash: hexRun(0x71, 32), fee: 77n, prover: hexRun(0x72, 32) },
  bytes: join(run(0x70, 32), run(0x71, 32), u64(77n), run(0x72, 32)),
};

const commitment = {
  value: {
    jobId: hexRun(0x73, 32),
    fee: 78n,
    snarker: hexRun(0x74, 32),
    issuedAt: 1_700_000_000_000n,
    signature: run(0x75, 64),
  },
  bytes: join(run(0x73, 32), u64(78n), run(0x74, 32), u64(1_700_000_000_000n), run(0x75, 64)),
};

/** Consensus: minWindowDensity, the count 11 and eleven densities, vrfOutput, stakingLock, nextLock. */
const header = {
  value: {
    parent: hexRun(0x80, 32),
    height: 1_001,
    slot: 2_002,
    epoch: 3,
    consensus: {
      minWindowDensity: 44,
      subWindowDensities: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
      vrfOutput: hexRun(0x81, 32),
      stakingLock: hexRun(0x82, 32),
      nextLock: hexRun(0x83, 32),
    },
    creator: hexRun(0x84, 32),
    timestamp: 1_700_000_123_456n,
    bodyRoot: hexRun(0x85, 32),
    ledgerRoot: hexRun(0x86, 32),
    signature: run(0x87, 64),
  },
  bytes: join(
    run(0x80, 32),
    u32(1_001),
    u32(2_002),
    u32(3),
    join(u32(44), u32(11), ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(u32)),
    join(run(0x81, 32), run(0x82, 32), run(0x83, 32)),
    run(0x84, 32),
    u64(1_700_000_123_456n),
    run(0x85, 32),
    run(0x86, 32),
    run(0x87, 64),
  ),
};

const ranges = {
  value: [
    { from: 0n, to: 5n, body: { tag: "fingerprint", count: 6, xor: 0x0a0bn, sum: 0x0c0dn } },
    { from: 6n, to: 2n ** 64n - 1n, body: { tag: "ids", ids: [7n, 2n ** 63n] } },
  ],
  bytes: join(
    u32(2),
    join(u64(0n), u64(5n), byte(0), u32(6), u64(0x0a0bn), u64(0x0c0dn)),
    join(u64(6n), u64(2n ** 64n - 1n), byte(1), u32(2), u64(7n), u64(2n ** 63n)),
  ),
} as const;

const offer = {
  value: {
    version: 1,
    chainId: hexRun(0x10, 32),
    from: hexRun(0x11, 32),
    to: hexRun(0x12, 32),
    nonce: hexRun(0x13, 16),
    issuedAt: 1_700_000_000_001n,
    sdp: "v=0\r\n",
    listen: "/dns4/seed.example/tcp/443/https",
    signature: run(0x14, 64),
  } satisfies Offer,
  unsigned: join(
    byte(1),
    run(0x10, 32),
    run(0x11, 32),
    run(0x12, 32),
    run(0x13, 16),
    u64(1_700_000_000_001n),
    text("v=0\r\n"),
    SOME,
    text("/dns4/seed.example/tcp/443/https"),
  ),
  signature: run(0x14, 64),
};
const signedOffer = join(offer.unsigned, offer.signature);

const answer = {
  value: {
    tag: "answer",
    version: 1,
    from: hexRun(0x20, 32),
    to: hexRun(0x21, 32),
    nonce: hexRun(0x22, 16),
    offerHash: hexRun(0x23, 32),
    issuedAt: 1_700_000_000_002n,
    sdp: "v=0\r\na=\u00e9\r\n",
    signature: run(0x24, 64),
  } satisfies Reply,
  unsigned: join(
    byte(1),
    run(0x20, 32),
    run(0x21, 32),
    run(0x22, 16),
    run(0x23, 32),
    u64(1_700_000_000_002n),
    text("v=0\r\na=\u00e9\r\n"),
  ),
  signature: run(0x24, 64),
};
const signedAnswer = join(answer.unsigned, answer.signature);

const rejected = {
  value: {
    tag: "rejected",
    version: 1,
    from: hexRun(0x30, 32),
    to: hexRun(0x31, 32),
    nonce: hexRun(0x32, 16),
    offerHash: hexRun(0x33, 32),
    issuedAt: 1_700_000_000_003n,
    reason: 8,
    retryAfterMs: 1_500,
    signature: run(0x34, 64),
  } satisfies Reply,
  unsigned: join(
    byte(1),
    run(0x30, 32),
    run(0x31, 32),
    run(0x32, 16),
    run(0x33, 32),
    u64(1_700_000_000_003n),
    byte(8),
    u32(1_500),
  ),
  signature: run(0x34, 64),
};

const CONTROL: readonly Vector[] = [
  vector(
    "control/hello",
    "Hello: version 1, session, userAgent 'pollen/0.1', channels 0, 4 and 7",
    controlSchema,
    { tag: "hello", version: 1, session: hexRun(1, 32), userAgent: "pollen/0.1", channels: 0b1001_0001 },
    join(byte(0), byte(1), run(1, 32), text("pollen/0.1"), u16(0b1001_0001)),
  ),
  vector(
    "control/goodbye",
    "Goodbye: reason 3 (undecodable), banMs 24 h",
    controlSchema,
    { tag: "goodbye", reason: 3, banMs: 86_400_000 },
    join(byte(1), byte(3), u32(86_400_000)),
  ),
  vector("control/ping", "Ping 258", controlSchema, { tag: "ping", n: 258 }, join(byte(2), u32(258))),
  vector(
    "control/pong",
    "Pong with the greatest number",
    controlSchema,
    { tag: "pong", n: 0xffff_ffff },
    join(byte(3), u32(0xffff_ffff)),
  ),
];

const TRANSACTION: readonly Vector[] = [
  vector(
    "transaction/getNext",
    "GetNext: limit 32, window seq 0 without floor and band, no resume",
    transactionSchema,
    { tag: "getNext", limit: 32, window: { seq: 0, floor: null, band: null }, resume: null },
    join(byte(0), byte(32), u32(0), NONE, NONE, NONE),
  ),
  vector(
    "transaction/getNext-floor",
    "GetNext: limit 1, window seq 7 with a floor and no band, no resume",
    transactionSchema,
    {
      tag: "getNext",
      limit: 1,
      window: { seq: 7, floor: hashed(priorityA.value), band: null },
      resume: null,
    },
    join(byte(0), byte(1), u32(7), SOME, priorityA.bytes, NONE, NONE),
  ),
  vector(
    "transaction/getNext-band",
    "GetNext: limit 2, window seq 8 without floor, with the greatest band, no resume",
    transactionSchema,
    {
      tag: "getNext",
      limit: 2,
      window: { seq: 8, floor: null, band: hashed(priorityB.value) },
      resume: null,
    },
    join(byte(0), byte(2), u32(8), NONE, SOME, priorityB.bytes, NONE),
  ),
  vector(
    "transaction/getNext-resume",
    "GetNext: limit 16, window seq 9 with floor and band, resume at a cursor",
    transactionSchema,
    {
      tag: "getNext",
      limit: 16,
      window: { seq: 9, floor: hashed(priorityA.value), band: hashed(priorityB.value) },
      resume: cursor.value,
    },
    join(byte(0), byte(16), u32(9), SOME, priorityA.bytes, SOME, priorityB.bytes, SOME, cursor.bytes),
  ),
  vector(
    "transaction/refloor",
    "Refloor: window seq 10 with floor and band",
    transactionSchema,
    { tag: "refloor", window: { seq: 10, floor: hashed(priorityA.value), band: hashed(priorityB.value) } },
    join(byte(1), u32(10), SOME, priorityA.bytes, SOME, priorityB.bytes),
  ),
  vector(
    "transaction/infos-empty",
    "Infos: a band is done, no items",
    transactionSchema,
    { tag: "infos", cursor: cursor.value, seq: 8, rest: null, items: [] },
    join(byte(2), cursor.bytes, u32(8), NONE, u32(0)),
  ),
  vector(
    "transaction/infos",
    "Infos: rest and two items, one with the greatest fee",
    transactionSchema,
    {
      tag: "infos",
      cursor: cursor.value,
      seq: 9,
      rest: hashed(priorityA.value),
      items: infos.map(({ value }) => hashed(value)),
    },
    join(byte(2), cursor.bytes, u32(9), SOME, priorityA.bytes, u32(2), ...infos.map(({ bytes }) => bytes)),
  ),
];

const REQUESTS: readonly Vector[] = [
  vector(
    "rpc/request-bestTip",
    "Request 0: BestTip",
    rpcSchema,
    { tag: "request", id: 0, body: { tag: "bestTip" } },
    join(byte(0), u32(0), byte(0)),
  ),
  vector(
    "rpc/request-block",
    "Request 1: Block by its hash",
    rpcSchema,
    { tag: "request", id: 1, body: { tag: "block", hash: hashRun(0x90, 32) } },
    join(byte(0), u32(1), byte(1), run(0x90, 32)),
  ),
  vector(
    "rpc/request-transactions",
    "Request 2: Transactions, two hashes",
    rpcSchema,
    { tag: "request", id: 2, body: { tag: "transactions", hashes: [hashRun(0x91, 32), hashRun(0x92, 32)] } },
    join(byte(0), u32(2), byte(2), u32(2), run(0x91, 32), run(0x92, 32)),
  ),
  vector(
    "rpc/request-snarks",
    "Request 3: Snarks, one hash",
    rpcSchema,
    { tag: "request", id: 3, body: { tag: "snarks", hashes: [hashRun(0x93, 32)] } },
    join(byte(0), u32(3), byte(3), u32(1), run(0x93, 32)),
  ),
  vector(
    "rpc/request-ancestry",
    "Request 4: Ancestry, the greatest count",
    rpcSchema,
    { tag: "request", id: 4, body: { tag: "ancestry", hash: hashRun(0x94, 32), count: 128 } },
    join(byte(0), u32(4), byte(4), run(0x94, 32), u16(128)),
  ),
  vector(
    "rpc/request-peers",
    "Request 5: Peers",
    rpcSchema,
    { tag: "request", id: 5, body: { tag: "peers" } },
    join(byte(0), u32(5), byte(5)),
  ),
  vector(
    "rpc/request-reconcile",
    "Request 6: Reconcile of commitments, a fingerprint and a list of ids",
    rpcSchema,
    { tag: "request", id: 6, body: { tag: "reconcile", pool: 2, salt: 0xfedcn, ranges: ranges.value } },
    join(byte(0), u32(6), byte(6), byte(2), u64(0xfedcn), ranges.bytes),
  ),
  vector(
    "rpc/request-infosByShortId",
    "Request 7: InfosByShortId of snarks, two ids",
    rpcSchema,
    { tag: "request", id: 7, body: { tag: "infosByShortId", pool: 1, salt: 5n, ids: [2n ** 64n - 1n, 0n] } },
    join(byte(0), u32(7), byte(7), byte(1), u64(5n), u32(2), u64(2n ** 64n - 1n), u64(0n)),
  ),
];

const RESPONSES: readonly Vector[] = [
  vector(
    "rpc/response-notFound",
    "Response 0: NotFound",
    rpcSchema,
    { tag: "response", id: 0, body: { tag: "notFound" } },
    join(byte(1), u32(0), byte(0)),
  ),
  vector(
    "rpc/response-busy",
    "Response 1: Busy",
    rpcSchema,
    { tag: "response", id: 1, body: { tag: "busy" } },
    join(byte(1), u32(1), byte(1)),
  ),
  vector(
    "rpc/response-bestTip",
    "Response 2: BestTip with a header",
    rpcSchema,
    { tag: "response", id: 2, body: { tag: "bestTip", header: hashedHeader() } },
    join(byte(1), u32(2), byte(2), header.bytes),
  ),
  vector(
    "rpc/response-block",
    "Response 3: Block with two transactions and one snark",
    rpcSchema,
    {
      tag: "response",
      id: 3,
      body: {
        tag: "block",
        header: hashedHeader(),
        body: { transactions: [hashRun(0xa0, 32), hashRun(0xa1, 32)], snarks: [hashed(snarkInfo.value)] },
      },
    },
    join(byte(1), u32(3), byte(3), header.bytes),
    join(u32(2), run(0xa0, 32), run(0xa1, 32), u32(1), snarkInfo.bytes),
  ),
  vector(
    "rpc/response-items",
    "Response 4: Items: none, some of three bytes, stream, some of no bytes",
    rpcSchema,
    {
      tag: "response",
      id: 4,
      body: {
        tag: "items",
        found: [
          { tag: "none" },
          { tag: "some", bytes: Uint8Array.of(1, 2, 3) },
          { tag: "stream" },
          { tag: "some", bytes: new Uint8Array() },
        ],
      },
    },
    join(byte(1), u32(4), byte(4), u32(4)),
    join(byte(0), byte(1), u32(3), Uint8Array.of(1, 2, 3), byte(2), byte(1), u32(0)),
  ),
  vector(
    "rpc/response-ancestry",
    "Response 5: Ancestry of one header",
    rpcSchema,
    { tag: "response", id: 5, body: { tag: "ancestry", headers: [hashedHeader()] } },
    join(byte(1), u32(5), byte(5), u32(1), header.bytes),
  ),
  vector(
    "rpc/response-peers",
    "Response 6: Peers, two addresses",
    rpcSchema,
    { tag: "response", id: 6, body: { tag: "peers", addresses: ["/dns4/a.example/tcp/443/https", ""] } },
    join(byte(1), u32(6), byte(6), u32(2), text("/dns4/a.example/tcp/443/https"), text("")),
  ),
  vector(
    "rpc/response-reconcile",
    "Response 7: Reconcile with the log's cursor",
    rpcSchema,
    { tag: "response", id: 7, body: { tag: "reconcile", cursor: cursor.value, ranges: ranges.value } },
    join(byte(1), u32(7), byte(7), cursor.bytes, ranges.bytes),
  ),
  vector(
    "rpc/response-infos-transactions",
    "Response 8: Infos of two transactions",
    rpcSchema,
    {
      tag: "response",
      id: 8,
      body: {
        tag: "infos",
        infos: { tag: "transactions", items: infos.map(({ value }) => hashed(value)) },
      },
    },
    join(byte(1), u32(8), byte(8), byte(0), u32(2), ...infos.map(({ bytes }) => bytes)),
  ),
  vector(
    "rpc/response-infos-snarks",
    "Response 8: Infos of one snark",
    rpcSchema,
    {
      tag: "response",
      id: 9,
      body: { tag: "infos", infos: { tag: "snarks", items: [hashed(snarkInfo.value)] } },
    },
    join(byte(1), u32(9), byte(8), byte(1), u32(1), snarkInfo.bytes),
  ),
  vector(
    "rpc/response-infos-commitments",
    "Response 8: Infos of one commitment",
    rpcSchema,
    {
      tag: "response",
      id: 10,
      body: { tag: "infos", infos: { tag: "commitments", items: [commitment.value] } },
    },
    join(byte(1), u32(10), byte(8), byte(2), u32(1), commitment.bytes),
  ),
];

const SIGNALS: readonly Vector[] = [
  vector("signal/offer", "Offer with a listen address", offerSchema, offer.value, signedOffer),
  vector(
    "signal/offer-without-listen",
    "Offer without a listen address",
    offerSchema,
    { ...offer.value, listen: null },
    join(byte(1), run(0x10, 32), run(0x11, 32), run(0x12, 32), run(0x13, 16), u64(1_700_000_000_001n)),
    join(text("v=0\r\n"), NONE, offer.signature),
  ),
  vector("signal/reply-answer", "Reply 0: Answer", replySchema, answer.value, byte(0), signedAnswer),
  vector(
    "signal/reply-rejected",
    "Reply 1: Rejected with reason 8 (rateLimited), retry after 1.5 s",
    replySchema,
    rejected.value,
    byte(1),
    join(rejected.unsigned, rejected.signature),
  ),
  vector(
    "signal/envelope",
    "Envelope with a ciphertext of 20 bytes",
    envelopeSchema,
    { ephemeral: run(0xb0, 32), nonce: run(0xb1, 12), ciphertext: run(0xb2, 20) },
    join(run(0xb0, 32), run(0xb1, 12), u32(20), run(0xb2, 20)),
  ),
];

const VECTORS = [...CONTROL, ...TRANSACTION, ...REQUESTS, ...RESPONSES, ...SIGNALS];

const HASHES: readonly GoldenHash[] = [
  {
    name: "hash/label",
    description: 'H("label"): SHA-256 of the ASCII label and one zero byte',
    expected: sha256(text0("label")),
    ours: () => hexOf(hash("label")),
  },
  {
    name: "hash/label-and-parts",
    description: 'H("label", 01 02 03, 04): the parts follow raw',
    expected: sha256(text0("label"), Uint8Array.of(1, 2, 3, 4)),
    ours: () => hexOf(hash("label", Uint8Array.of(1, 2, 3), Uint8Array.of(4))),
  },
  ...[0, 1, 60_000, 60_001, 150_000, 180_001].map((size) => ({
    name: `hash/item-${size}`,
    description: `Hash of an item of ${size} bytes, byte i = i mod 251`,
    expected: itemRoot(size),
    ours: () => itemHash(pattern(size)),
  })),
  {
    name: "hash/offer-digest",
    description: "What the signature of signal/offer is over",
    expected: sha256(text0("pollen/offer/1"), offer.unsigned),
    ours: () => hexOf(signalDigest("pollen/offer/1", signedOffer)),
  },
  {
    name: "hash/answer-digest",
    description: "What the signature of signal/reply-answer is over, which the Reply tag is no part of",
    expected: sha256(text0("pollen/answer/1"), answer.unsigned),
    ours: () => hexOf(signalDigest("pollen/answer/1", signedAnswer)),
  },
  {
    name: "hash/reject-digest",
    description: "What the signature of signal/reply-rejected is over, which the Reply tag is no part of",
    expected: sha256(text0("pollen/reject/1"), rejected.unsigned),
    ours: () => hexOf(signalDigest("pollen/reject/1", join(rejected.unsigned, rejected.signature))),
  },
  {
    name: "hash/offer",
    description: "offerHash of signal/offer",
    expected: sha256(signedOffer),
    ours: () => offerHash(signedOffer),
  },
  {
    name: "hash/session",
    description: "session of signal/offer and signal/reply-answer without its Reply tag",
    expected: sha256(text0("pollen/session/1"), sha256(signedOffer), sha256(signedAnswer)),
    ours: () => sessionOf(hexOf(sha256(signedOffer)), signedAnswer),
  },
];

describe("golden vectors", () => {
  test("golden.json holds exactly the vectors of this file", () => {
    const golden: unknown = JSON.parse(readFileSync(new URL("./golden.json", import.meta.url), "utf8"));
    expect(golden).toEqual({
      messages: VECTORS.map(({ name, description, bytes }) => ({ name, description, hex: hexOf(bytes) })),
      hashes: HASHES.map(({ name, description, expected }) => ({ name, description, hex: hexOf(expected) })),
    });
  });

  test.each(VECTORS)("$name", ({ schema, value, bytes }) => {
    expect(hexOf(encode(schema, value))).toBe(hexOf(bytes));
    expect(decode(schema, bytes, MESSAGE_BYTES_MAX)).toEqual({ tag: "decoded", value });
  });

  test.each(HASHES)("$name", ({ ours, expected }) => {
    expect(ours()).toBe(hexOf(expected));
  });

  test("every case of every union has a vector", () => {
    for (const [schema, vectors] of [
      [controlSchema, CONTROL],
      [transactionSchema, TRANSACTION],
      [rpcSchema, [...REQUESTS, ...RESPONSES]],
    ] as const) {
      const cases = schema.shape.tag === "union" ? schema.shape.cases.length : 0;
      expect(new Set(vectors.map(({ bytes }) => bytes[0])).size).toBe(cases);
    }
    expect(REQUESTS.map(({ bytes }) => bytes[5])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(RESPONSES.map(({ bytes }) => bytes[5])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8]);
  });
});

function byte(value: number): Uint8Array {
  return Uint8Array.of(value);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, value >>> 8);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

function u64(value: bigint): Uint8Array {
  return join(u32(Number(value & 0xffff_ffffn)), u32(Number(value >> 32n)));
}

function text(content: string): Uint8Array {
  const encoded = Buffer.from(content, "utf8");
  return join(u32(encoded.length), encoded);
}

/** ASCII text and one zero byte. */
function text0(content: string): Uint8Array {
  return join(Buffer.from(content, "ascii"), byte(0));
}

/** `length` bytes that count up from `first`. */
function run(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (first + index) % 256);
}

function hexRun(first: number, length: number): Hex {
  return hexOf(run(first, length));
}

function hashRun(first: number, length: number): Hash {
  return hexRun(first, length) as Hash;
}

function hashed<T extends { readonly hash: Hex }>(value: T): T & { readonly hash: Hash } {
  return value as T & { readonly hash: Hash };
}

function hashedHeader(): typeof header.value & { readonly parent: Hash } {
  return header.value as typeof header.value & { readonly parent: Hash };
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function hexOf(bytes: Uint8Array): Hex {
  return Buffer.from(bytes).toString("hex");
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return createHash("sha256")
    .update(join(...parts))
    .digest();
}

function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => index % 251);
}

/** Section 7.8 spelled out for up to four chunks: leaves, pairs, the odd one carried up. */
function itemRoot(size: number): Uint8Array {
  const data = pattern(size);
  const leaf = (index: number): Uint8Array =>
    sha256(text0("pollen/chunk/1"), u32(index), data.slice(60_000 * index, 60_000 * (index + 1)));
  const node = (left: Uint8Array, right: Uint8Array): Uint8Array =>
    sha256(text0("pollen/node/1"), left, right);
  const roots: Readonly<Record<number, () => Uint8Array>> = {
    1: () => leaf(0),
    2: () => node(leaf(0), leaf(1)),
    3: () => node(node(leaf(0), leaf(1)), leaf(2)),
    4: () => node(node(leaf(0), leaf(1)), node(leaf(2), leaf(3))),
  };
  const root = roots[Math.max(1, Math.ceil(size / 60_000))];
  if (root === undefined) throw new Error(`no tree is written down for ${size} bytes`);
  return sha256(text0("pollen/stream/1"), u64(BigInt(size)), root());
}
