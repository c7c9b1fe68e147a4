import { bestTipSchema } from "../channels/best-tip.ts";
import { controlSchema } from "../channels/control.ts";
import { discoverySchema } from "../channels/discovery.ts";
import { exchangeSchema } from "../channels/exchange.ts";
import { snarkJobCommitmentSchema, snarkSchema, transactionSchema } from "../channels/permits.ts";
import { streamingSchema } from "../channels/streaming-rpc.ts";
import type { Hash } from "../ids.ts";
import { byte, hexRun, join, NONE, run, SOME, text, u16, u32, u64, type Vector, vector } from "./bytes.ts";
import {
  commitment,
  commitmentBytes,
  cursor,
  header,
  headerBytes,
  infos,
  priorityA,
  priorityB,
  snarkInfo,
} from "./structs.ts";

// Every channel but rpc.

export const CONTROL: readonly Vector[] = [
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

export const TRANSACTION: readonly Vector[] = [
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
      window: { seq: 7, floor: priorityA.value, band: null },
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
      window: { seq: 8, floor: null, band: priorityB.value },
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
      window: { seq: 9, floor: priorityA.value, band: priorityB.value },
      resume: cursor.value,
    },
    join(byte(0), byte(16), u32(9), SOME, priorityA.bytes, SOME, priorityB.bytes, SOME, cursor.bytes),
  ),
  vector(
    "transaction/refloor",
    "Refloor: window seq 10 with floor and band",
    transactionSchema,
    { tag: "refloor", window: { seq: 10, floor: priorityA.value, band: priorityB.value } },
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
      rest: priorityA.value,
      items: infos.map(({ value }) => value),
    },
    join(byte(2), cursor.bytes, u32(9), SOME, priorityA.bytes, u32(2), ...infos.map(({ bytes }) => bytes)),
  ),
];

const emptyWindow = { seq: 0x0a0b, floor: null, band: null };
const repairWindow = { seq: 3, floor: null, band: priorityB.value };

export const SNARK: readonly Vector[] = [
  vector(
    "snark/getNext",
    "GetNext: limit 4, window seq 2571 without floor and band, no resume",
    snarkSchema,
    { tag: "getNext", limit: 4, window: emptyWindow, resume: null },
    join(byte(0), byte(4), u32(0x0a0b), NONE, NONE, NONE),
  ),
  vector(
    "snark/refloor",
    "Refloor: window seq 3 with the greatest band",
    snarkSchema,
    { tag: "refloor", window: repairWindow },
    join(byte(1), u32(3), NONE, SOME, priorityB.bytes),
  ),
  vector(
    "snark/infos",
    "Infos: one item",
    snarkSchema,
    { tag: "infos", cursor: cursor.value, seq: 3, rest: null, items: [snarkInfo.value] },
    join(byte(2), cursor.bytes, u32(3), NONE, u32(1), snarkInfo.bytes),
  ),
];

export const COMMITMENT: readonly Vector[] = [
  vector(
    "snark-job-commitment/getNext",
    "GetNext: limit 5, window seq 3 with the greatest band, resume at a cursor",
    snarkJobCommitmentSchema,
    { tag: "getNext", limit: 5, window: repairWindow, resume: cursor.value },
    join(byte(0), byte(5), u32(3), NONE, SOME, priorityB.bytes, SOME, cursor.bytes),
  ),
  vector(
    "snark-job-commitment/refloor",
    "Refloor: window seq 2571 without floor and band",
    snarkJobCommitmentSchema,
    { tag: "refloor", window: emptyWindow },
    join(byte(1), u32(0x0a0b), NONE, NONE),
  ),
  vector(
    "snark-job-commitment/infos",
    "Infos: a commitment twice, and a rest",
    snarkJobCommitmentSchema,
    {
      tag: "infos",
      cursor: cursor.value,
      seq: 4,
      rest: priorityA.value,
      items: [commitment.value, commitment.value],
    },
    join(byte(2), cursor.bytes, u32(4), SOME, priorityA.bytes, u32(2), commitmentBytes, commitmentBytes),
  ),
];

const envelope = {
  ephemeral: run(0xe0, 32),
  nonce: run(0xe1, 12),
  ciphertext: run(0xe2, 3),
};
const envelopeBytes = join(run(0xe0, 32), run(0xe1, 12), u32(3), run(0xe2, 3));

export const DISCOVERY: readonly Vector[] = [
  vector("discovery/getNext", "GetNext", discoverySchema, { tag: "getNext" }, byte(0)),
  vector("discovery/discover", "Discover", discoverySchema, { tag: "discover" }, byte(1)),
  vector(
    "discovery/discovered",
    "Discovered: a raw public key",
    discoverySchema,
    { tag: "discovered", target: hexRun(0xc2, 32) },
    join(byte(2), run(0xc2, 32)),
  ),
  vector("discovery/reject", "Reject", discoverySchema, { tag: "reject" }, byte(3)),
  vector(
    "discovery/accept",
    "Accept with an envelope",
    discoverySchema,
    { tag: "accept", offer: envelope },
    join(byte(4), envelopeBytes),
  ),
  vector(
    "discovery/answer",
    "Answer with an envelope",
    discoverySchema,
    { tag: "answer", reply: envelope },
    join(byte(5), SOME, envelopeBytes),
  ),
  vector(
    "discovery/answer-none",
    "Answer: none",
    discoverySchema,
    { tag: "answer", reply: null },
    join(byte(5), NONE),
  ),
];

export const EXCHANGE: readonly Vector[] = [
  vector("exchange/getNext", "GetNext", exchangeSchema, { tag: "getNext" }, byte(0)),
  vector(
    "exchange/offer",
    "Offer of a key, with an envelope",
    exchangeSchema,
    { tag: "offer", from: hexRun(0xc3, 32), offer: envelope },
    join(byte(1), run(0xc3, 32), envelopeBytes),
  ),
  vector(
    "exchange/answer",
    "Answer with an envelope",
    exchangeSchema,
    { tag: "answer", reply: envelope },
    join(byte(2), SOME, envelopeBytes),
  ),
];

export const BEST_TIP: readonly Vector[] = [
  vector("best-tip/getNext", "GetNext", bestTipSchema, { tag: "getNext" }, byte(0)),
  vector(
    "best-tip/bestTip",
    "BestTip: a header",
    bestTipSchema,
    { tag: "bestTip", header: header.value },
    join(byte(1), headerBytes),
  ),
];

export const STREAMING: readonly Vector[] = [
  vector(
    "streaming-rpc/request",
    "Request 0 of a root",
    streamingSchema,
    { tag: "request", id: 0, root: hexRun<Hash>(0xc0, 32) },
    join(byte(0), u32(0), run(0xc0, 32)),
  ),
  vector(
    "streaming-rpc/manifest",
    "Manifest 1: a size beyond 2^32 and the Merkle root",
    streamingSchema,
    { tag: "manifest", id: 1, manifest: { size: 0x1_0203_0405n, merkleRoot: hexRun(0xc1, 32) } },
    join(byte(1), u32(1), SOME, u64(0x1_0203_0405n), run(0xc1, 32)),
  ),
  vector(
    "streaming-rpc/manifest-none",
    "Manifest 2: it is not here",
    streamingSchema,
    { tag: "manifest", id: 2, manifest: null },
    join(byte(1), u32(2), NONE),
  ),
  vector(
    "streaming-rpc/next",
    "Next 3: eight chunks from 513 on",
    streamingSchema,
    { tag: "next", id: 3, from: 513, count: 8 },
    join(byte(2), u32(3), u32(513), byte(8)),
  ),
  vector(
    "streaming-rpc/chunk",
    "Chunk 4: index 513, five bytes, a proof of two siblings",
    streamingSchema,
    { tag: "chunk", id: 4, index: 513, data: run(0xc2, 5), proof: [run(0xc3, 32), run(0xc4, 32)] },
    join(byte(3), u32(4), u32(513), u32(5), run(0xc2, 5), u32(2), run(0xc3, 32), run(0xc4, 32)),
  ),
  vector(
    "streaming-rpc/chunk-empty",
    "Chunk 5: the only one of no bytes",
    streamingSchema,
    { tag: "chunk", id: 5, index: 0, data: new Uint8Array(), proof: [] },
    join(byte(3), u32(5), u32(0), u32(0), u32(0)),
  ),
  vector(
    "streaming-rpc/cancel",
    "Cancel 6",
    streamingSchema,
    { tag: "cancel", id: 6 },
    join(byte(4), u32(6)),
  ),
];
