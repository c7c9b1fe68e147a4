import { describe, expect, test } from "vitest";
import { AssertionError } from "../assert.ts";
import { commitmentSchema, headerSchema } from "../block.ts";
import { bestTipSchema } from "../channels/best-tip.ts";
import { controlSchema } from "../channels/control.ts";
import { snarkJobCommitmentSchema, snarkSchema, transactionSchema } from "../channels/permits.ts";
import { rpcSchema } from "../channels/rpc.ts";
import { streamingSchema } from "../channels/streaming-rpc.ts";
import { decode, encode } from "./codec.ts";
import type { Schema } from "./schema.ts";
import { layoutOf } from "./testing.ts";

/*
 * Every bound of sections 4, 6 and 7 from both sides: the last value within it is accepted, the first one beyond is
 * undecodable, with the field's name, and never encoded. The bytes come from the dumb encoder of the tests, which
 * knows no bounds.
 */

const NO_LIMIT = Number.MAX_SAFE_INTEGER;
const HASH = "ab".repeat(32);
const WINDOW = { seq: 1, floor: null, band: null };
const CURSOR = { epoch: 1n, next: 1n };
const HEADER = {
  parent: HASH,
  height: 1,
  slot: 1,
  epoch: 0,
  consensus: {
    minWindowDensity: 1,
    subWindowDensities: times(11, 1),
    vrfOutput: HASH,
    stakingLock: HASH,
    nextLock: HASH,
  },
  creator: HASH,
  timestamp: 1n,
  bodyRoot: HASH,
  ledgerRoot: HASH,
  signature: "5a".repeat(64),
};
const INFO = { hash: HASH, fee: 1n, sender: HASH, nonce: 1 };
const SNARK = { jobId: HASH, hash: HASH, fee: 1n, prover: HASH };
const COMMITMENT = { jobId: HASH, fee: 1n, snarker: HASH, issuedAt: 1n, signature: "5a".repeat(64) };

const request = (body: object): object => ({ tag: "request", id: 0, body });
const response = (body: object): object => ({ tag: "response", id: 0, body });
const hello = (userAgent: string): object => ({
  tag: "hello",
  version: 1,
  session: HASH,
  userAgent,
  channels: 1,
});
const getNext = (limit: number): object => ({ tag: "getNext", limit, window: WINDOW, resume: null });
const infos = (count: number, info: object = INFO): object => ({
  tag: "infos",
  cursor: CURSOR,
  seq: 1,
  rest: null,
  items: times(count, info),
});
const next = (count: number): object => ({ tag: "next", id: 0, from: 0, count });
const chunk = (size: number, siblings: number): object => ({
  tag: "chunk",
  id: 0,
  index: 0,
  data: new Uint8Array(size),
  proof: times(siblings, new Uint8Array(32)),
});
const range = (from: bigint, to: bigint): object => ({ from, to, body: { tag: "ids", ids: [] } });
const reconcile = (ranges: readonly object[], pool = 0): object =>
  request({ tag: "reconcile", pool, salt: 1n, ranges });
const reconciled = (ranges: readonly object[]): object =>
  response({ tag: "reconcile", cursor: CURSOR, ranges });
const ranges = (count: number): readonly object[] =>
  Array.from({ length: count }, (_, index) => range(BigInt(2 * index), BigInt(2 * index + 1)));
const idRange = (count: number): object => ({
  from: 0n,
  to: 9n,
  body: { tag: "ids", ids: times(count, 1n) },
});
const items = (found: readonly object[]): object => response({ tag: "items", found });
const listed = (tag: string, entries: readonly object[]): object =>
  response({ tag: "infos", infos: { tag, items: entries } });
const block = (transactions: number, snarks: number): object =>
  response({
    tag: "block",
    header: HEADER,
    body: { transactions: times(transactions, HASH), snarks: times(snarks, SNARK) },
  });
const densities = (count: number): object => ({
  ...HEADER,
  consensus: { ...HEADER.consensus, subWindowDensities: times(count, 1) },
});

/** Name, schema, a value within the bound, one beyond it, and the failure. */
const BOUNDS: readonly (readonly [string, Schema<unknown>, object, object, string])[] = [
  [
    "a user agent's length",
    controlSchema,
    hello("u".repeat(64)),
    hello("u".repeat(65)),
    "userAgent: length 65",
  ],
  [
    "a user agent's bytes",
    controlSchema,
    hello("é".repeat(32)),
    hello("é".repeat(33)),
    "userAgent: length 66",
  ],
  [
    "the last reason",
    controlSchema,
    { tag: "goodbye", reason: 20, banMs: 0 },
    { tag: "goodbye", reason: 21, banMs: 0 },
    "reason: reason 21 is unknown",
  ],
  ...(
    [
      ["transaction", transactionSchema as Schema<unknown>, INFO],
      ["snark", snarkSchema as Schema<unknown>, SNARK],
      ["commitment", snarkJobCommitmentSchema as Schema<unknown>, COMMITMENT],
    ] as const
  ).flatMap(([pool, schema, info]): typeof BOUNDS => [
    [`the least limit, ${pool}`, schema, getNext(1), getNext(0), "limit: limit 0 is not in 1..32"],
    [`the greatest limit, ${pool}`, schema, getNext(32), getNext(33), "limit: limit 33 is not in 1..32"],
    [`announcements, ${pool}`, schema, infos(32, info), infos(33, info), "items: length 33 exceeds 32"],
  ]),
  ["a permit for no chunk", streamingSchema, next(1), next(0), "count: "],
  [
    "bytes of a chunk",
    streamingSchema,
    chunk(60_000, 0),
    chunk(60_001, 0),
    "data: length 60001 exceeds 60000",
  ],
  ["siblings of a chunk", streamingSchema, chunk(0, 24), chunk(0, 25), "proof: length 25 exceeds 24"],
  [
    "sub-windows of a tip",
    bestTipSchema,
    { tag: "bestTip", header: HEADER },
    { tag: "bestTip", header: densities(12) },
    "header.consensus.subWindowDensities: length 12",
  ],
  ...["transactions", "snarks"].flatMap((tag): typeof BOUNDS => {
    const of = (count: number): object => request({ tag, hashes: times(count, HASH) });
    return [
      [`${tag} asked for`, rpcSchema, of(16), of(17), "body.hashes: length 17 exceeds 16"],
      [`${tag}: none asked for`, rpcSchema, of(1), of(0), "body.hashes: has 0 entries"],
    ];
  }),
  [
    "headers asked for",
    rpcSchema,
    request({ tag: "ancestry", hash: HASH, count: 128 }),
    request({ tag: "ancestry", hash: HASH, count: 129 }),
    "body.count: count 129 exceeds 128",
  ],
  ["the pool to reconcile", rpcSchema, reconcile([], 2), reconcile([], 3), "body.pool: pool 3 is unknown"],
  ["ranges asked", rpcSchema, reconcile(ranges(256)), reconcile(ranges(257)), "body.ranges: length 257"],
  ["ranges answered", rpcSchema, reconciled(ranges(256)), reconciled(ranges(257)), "body.ranges: length 257"],
  [
    "ids of a range",
    rpcSchema,
    reconcile([idRange(4_096)]),
    reconcile([idRange(4_097)]),
    "body.ranges.0.body.ids: length 4097 exceeds 4096",
  ],
  [
    "a range of one id",
    rpcSchema,
    reconcile([range(5n, 5n)]),
    reconcile([range(5n, 4n)]),
    "body.ranges: ranges are not sorted and disjoint",
  ],
  [
    "ranges side by side",
    rpcSchema,
    reconcile([range(0n, 4n), range(5n, 9n)]),
    reconcile([range(0n, 5n), range(5n, 9n)]),
    "body.ranges: ranges are not sorted and disjoint",
  ],
  [
    "ranges in order",
    rpcSchema,
    reconciled([range(0n, 4n), range(5n, 9n)]),
    reconciled([range(5n, 9n), range(0n, 4n)]),
    "body.ranges: ranges are not sorted and disjoint",
  ],
  ...([0, 1] as const).map((pool): (typeof BOUNDS)[number] => [
    `ids, pool ${pool}`,
    rpcSchema,
    request({ tag: "infosByShortId", pool, salt: 1n, ids: times(256, 1n) }),
    request({ tag: "infosByShortId", pool, salt: 1n, ids: times(257, 1n) }),
    "body.ids: length 257 exceeds 256",
  ]),
  [
    "no ids",
    rpcSchema,
    request({ tag: "infosByShortId", pool: 2, salt: 1n, ids: [1n] }),
    request({ tag: "infosByShortId", pool: 2, salt: 1n, ids: [] }),
    "body.ids: has 0 entries",
  ],
  [
    "the pool of ids",
    rpcSchema,
    request({ tag: "infosByShortId", pool: 2, salt: 1n, ids: [1n] }),
    request({ tag: "infosByShortId", pool: 3, salt: 1n, ids: [1n] }),
    "body.pool: pool 3 is unknown",
  ],
  [
    "items found",
    rpcSchema,
    items(times(16, { tag: "none" })),
    items(times(17, { tag: "none" })),
    "body.found: length 17",
  ],
  ["nothing about any item", rpcSchema, items([{ tag: "stream" }]), items([]), "body.found: has 0 entries"],
  [
    "bytes of an item",
    rpcSchema,
    items([{ tag: "some", bytes: new Uint8Array(16_384) }]),
    items([{ tag: "some", bytes: new Uint8Array(16_385) }]),
    "body.found.0.bytes: length 16385 exceeds 16384",
  ],
  [
    "headers answered",
    rpcSchema,
    response({ tag: "ancestry", headers: times(128, HEADER) }),
    response({ tag: "ancestry", headers: times(129, HEADER) }),
    "body.headers: length 129 exceeds 128",
  ],
  [
    "addresses",
    rpcSchema,
    response({ tag: "peers", addresses: times(64, "x") }),
    response({ tag: "peers", addresses: times(65, "x") }),
    "body.addresses: length 65 exceeds 64",
  ],
  [
    "an address's length",
    rpcSchema,
    response({ tag: "peers", addresses: ["", "x".repeat(256)] }),
    response({ tag: "peers", addresses: ["", "x".repeat(257)] }),
    "body.addresses.1: length 257 exceeds 256",
  ],
  [
    "transactions of a block",
    rpcSchema,
    block(1_024, 0),
    block(1_025, 0),
    "body.body.transactions: length 1025",
  ],
  ["snarks of a block", rpcSchema, block(0, 256), block(0, 257), "body.body.snarks: length 257 exceeds 256"],
  ...(
    [
      ["transactions", INFO],
      ["snarks", SNARK],
      ["commitments", COMMITMENT],
    ] as const
  ).map(([tag, entry]): (typeof BOUNDS)[number] => [
    `infos of ${tag}`,
    rpcSchema,
    listed(tag, times(256, entry)),
    listed(tag, times(257, entry)),
    "body.infos.items: length 257 exceeds 256",
  ]),
  [
    "no more sub-windows than 11",
    headerSchema,
    HEADER,
    densities(12),
    "consensus.subWindowDensities: length 12",
  ],
  [
    "no fewer sub-windows than 11",
    headerSchema,
    HEADER,
    densities(10),
    "consensus.subWindowDensities: has 10",
  ],
];

describe("bounds of messages", () => {
  test.each(BOUNDS)("%s", (_, schema, within, beyond, detail) => {
    const accepted = layoutOf(schema.shape, within).bytes;
    expect(decode(schema, accepted, NO_LIMIT)).toEqual({ tag: "decoded", value: within });
    const refused = decode(schema, layoutOf(schema.shape, beyond).bytes, NO_LIMIT);
    expect(refused).toMatchObject({ tag: "failed", reason: "undecodable" });
    expect(refused.tag === "failed" && refused.detail).toContain(detail);
    expect(() => encode(schema, beyond)).toThrow(AssertionError);
  });

  /** The first unknown tag of every enum of the wire, after what comes before it. */
  const TAGS: readonly (readonly [string, Schema<unknown>, readonly number[], string])[] = [
    ["control", controlSchema, [4], "tag 4 is unknown"],
    ["transaction", transactionSchema, [3], "tag 3 is unknown"],
    ["snark", snarkSchema, [3], "tag 3 is unknown"],
    ["commitment", snarkJobCommitmentSchema, [3], "tag 3 is unknown"],
    ["best-tip", bestTipSchema, [2], "tag 2 is unknown"],
    ["streaming-rpc", streamingSchema, [5], "tag 5 is unknown"],
    ["rpc", rpcSchema, [2], "tag 2 is unknown"],
    ["RpcRequest", rpcSchema, [0, 0, 0, 0, 0, 8], "body: tag 8 is unknown"],
    ["RpcResponse", rpcSchema, [1, 0, 0, 0, 0, 9], "body: tag 9 is unknown"],
    ["Found", rpcSchema, [1, 0, 0, 0, 0, 4, 1, 0, 0, 0, 3], "body.found.0: tag 3 is unknown"],
    ["infos", rpcSchema, [1, 0, 0, 0, 0, 8, 3], "body.infos: tag 3 is unknown"],
    [
      "Range",
      rpcSchema,
      [0, 0, 0, 0, 0, 6, 0, ...times(8, 0), 1, 0, 0, 0, ...times(16, 0), 2],
      "body.ranges.0.body: tag 2 is unknown",
    ],
  ];

  test.each(TAGS)("the first tag that %s does not have is undecodable", (_, schema, bytes, detail) => {
    expect(decode(schema, Uint8Array.from(bytes), NO_LIMIT)).toEqual({
      tag: "failed",
      reason: "undecodable",
      detail,
    });
  });

  test("a commitment has no bounds of its own: all its fields have one size", () => {
    expect(layoutOf(commitmentSchema.shape, COMMITMENT)).toMatchObject({ lengths: [] });
  });
});

function times<T>(count: number, value: T): readonly T[] {
  return Array<T>(count).fill(value);
}
