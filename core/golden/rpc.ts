import { rpcSchema } from "../channels/rpc.ts";
import type { Hash } from "../ids.ts";
import { byte, hexRun, join, run, text, u16, u32, u64, type Vector, vector } from "./bytes.ts";
import {
  body,
  commitment,
  commitmentBytes,
  cursor,
  header,
  headerBytes,
  infos,
  ranges,
  snarkInfo,
} from "./structs.ts";

// 7.7

export const REQUESTS: readonly Vector[] = [
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
    { tag: "request", id: 1, body: { tag: "block", hash: hexRun<Hash>(0x90, 32) } },
    join(byte(0), u32(1), byte(1), run(0x90, 32)),
  ),
  vector(
    "rpc/request-transactions",
    "Request 2: Transactions, two hashes",
    rpcSchema,
    {
      tag: "request",
      id: 2,
      body: { tag: "transactions", hashes: [hexRun<Hash>(0x91, 32), hexRun<Hash>(0x92, 32)] },
    },
    join(byte(0), u32(2), byte(2), u32(2), run(0x91, 32), run(0x92, 32)),
  ),
  vector(
    "rpc/request-snarks",
    "Request 3: Snarks, one hash",
    rpcSchema,
    { tag: "request", id: 3, body: { tag: "snarks", hashes: [hexRun<Hash>(0x93, 32)] } },
    join(byte(0), u32(3), byte(3), u32(1), run(0x93, 32)),
  ),
  vector(
    "rpc/request-ancestry",
    "Request 4: Ancestry, the greatest count",
    rpcSchema,
    { tag: "request", id: 4, body: { tag: "ancestry", hash: hexRun<Hash>(0x94, 32), count: 128 } },
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

export const RESPONSES: readonly Vector[] = [
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
    { tag: "response", id: 2, body: { tag: "bestTip", header: header.value } },
    join(byte(1), u32(2), byte(2), headerBytes),
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
        header: header.value,
        body: body.value,
      },
    },
    join(byte(1), u32(3), byte(3), headerBytes),
    body.bytes,
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
    { tag: "response", id: 5, body: { tag: "ancestry", headers: [header.value] } },
    join(byte(1), u32(5), byte(5), u32(1), headerBytes),
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
        infos: { tag: "transactions", items: infos.map(({ value }) => value) },
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
      body: { tag: "infos", infos: { tag: "snarks", items: [snarkInfo.value] } },
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
    join(byte(1), u32(10), byte(8), byte(2), u32(1), commitmentBytes),
  ),
];
