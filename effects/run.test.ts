import { describe, expect, test } from "vitest";
import { tipOf } from "../core/block.ts";
import { controlSchema } from "../core/channels/control.ts";
import { CHANNEL_NAMES, CHANNELS, type ChannelMessage } from "../core/channels/table.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import {
  BEST_TIP,
  COMMITMENT,
  CONTROL,
  DISCOVERY,
  EXCHANGE,
  SNARK,
  STREAMING,
  TRANSACTION,
} from "../core/golden/channels.ts";
import { REQUESTS, RESPONSES } from "../core/golden/rpc.ts";
import { body, header } from "../core/golden/structs.ts";
import type { AttemptId, BatchId, CheckId, Hash, JobId, PeerId, RequestId } from "../core/ids.ts";
import type { Services } from "../core/services.ts";
import { runEffect } from "./run.ts";

type Call = readonly [name: string, ...args: readonly unknown[]];

/** Services that write down what they are asked for. */
function scribe(): { readonly services: Services; readonly calls: readonly Call[] } {
  const calls: Call[] = [];
  const note =
    (name: string) =>
    (...args: readonly unknown[]): void => {
      calls.push([name, ...args]);
    };
  const services: Services = {
    transport: {
      createOffer: note("transport.createOffer"),
      createAnswer: note("transport.createAnswer"),
      applyAnswer: note("transport.applyAnswer"),
      addCandidates: note("transport.addCandidates"),
      send: note("transport.send"),
      close: note("transport.close"),
    },
    signaling: { post: note("signaling.post"), reply: note("signaling.reply") },
    crypto: { open: note("crypto.open"), verify: note("crypto.verify"), seal: note("crypto.seal") },
    chain: {
      verifyItems: note("chain.verifyItems"),
      verifyAgain: note("chain.verifyAgain"),
      loadItems: note("chain.loadItems"),
      forgetItems: note("chain.forgetItems"),
      verifyHeaders: note("chain.verifyHeaders"),
      loadBlock: note("chain.loadBlock"),
      loadAncestry: note("chain.loadAncestry"),
      prepareBlock: note("chain.prepareBlock"),
      supplyItems: note("chain.supplyItems"),
      applyBlock: note("chain.applyBlock"),
      adoptTip: note("chain.adoptTip"),
      forgetBlocks: note("chain.forgetBlocks"),
      produceBlock: note("chain.produceBlock"),
      signCommitment: note("chain.signCommitment"),
      makeSnark: note("chain.makeSnark"),
      abandonSnark: note("chain.abandonSnark"),
      applySnapshot: note("chain.applySnapshot"),
    },
    streams: {
      open: note("streams.open"),
      loadChunk: note("streams.loadChunk"),
      close: note("streams.close"),
      storeChunk: note("streams.storeChunk"),
      discard: note("streams.discard"),
    },
    operator: { answer: note("operator.answer") },
  };
  return { services, calls };
}

const attemptId = 7 as AttemptId;
const requestId = 8 as RequestId;
const batchId = 9 as BatchId;
const checkId = 10 as CheckId;
const rpcId = 5;
const streamId = 6;
const hash = "ab".repeat(32) as Hash;
const root = "cd".repeat(32) as Hash;
const jobId = "ef".repeat(32) as JobId;
const bytes = Uint8Array.of(1, 2);
const item = { hash, bytes };
const block = { header: header.value, body: body.value };
const chunk = { root, manifest: { size: 2n, merkleRoot: hash }, index: 0, data: bytes, proof: [] };
const address = {
  scheme: "http",
  hostKind: "ip4",
  host: "1.2.3.4",
  port: 1,
  peerId: "12D3KooW" as PeerId,
} as const;
const ping = { tag: "ping", n: 3 } as const;

/** One entry for each type of effect: the compiler knows if one is missing. */
const CASES: { readonly [Type in Effect["type"]]: readonly [Extract<Effect, { type: Type }>, Call] } = {
  "effect/createOffer": [{ type: "effect/createOffer", attemptId }, ["transport.createOffer", 7]],
  "effect/createAnswer": [
    { type: "effect/createAnswer", attemptId, sdp: "s" },
    ["transport.createAnswer", 7, "s"],
  ],
  "effect/applyAnswer": [
    { type: "effect/applyAnswer", attemptId, sdp: "s" },
    ["transport.applyAnswer", 7, "s"],
  ],
  "effect/addCandidates": [
    { type: "effect/addCandidates", attemptId, candidates: ["c"] },
    ["transport.addCandidates", 7, ["c"]],
  ],
  "effect/send": [
    { type: "effect/send", attemptId, channel: "control", message: ping },
    ["transport.send", 7, "control", encode(controlSchema, ping)],
  ],
  "effect/close": [{ type: "effect/close", attemptId, graceful: true }, ["transport.close", 7, true]],
  "effect/postSignal": [
    { type: "effect/postSignal", attemptId, address, envelope: bytes },
    ["signaling.post", 7, address, bytes],
  ],
  "effect/replySignal": [
    { type: "effect/replySignal", requestId, reply: { tag: "undecodable" } },
    ["signaling.reply", 8, { tag: "undecodable" }],
  ],
  "effect/openEnvelope": [
    { type: "effect/openEnvelope", attemptId, kind: "offer", envelope: bytes },
    ["crypto.open", 7, "offer", bytes],
  ],
  "effect/verifySignature": [
    { type: "effect/verifySignature", attemptId, publicKey: "k", digest: bytes, signature: bytes },
    ["crypto.verify", 7, "k", bytes, bytes],
  ],
  "effect/sealSignal": [
    {
      type: "effect/sealSignal",
      attemptId,
      label: "pollen/offer/1",
      unsigned: bytes,
      prefix: Uint8Array.of(1),
      recipient: "r",
    },
    ["crypto.seal", 7, "pollen/offer/1", bytes, Uint8Array.of(1), "r"],
  ],
  "effect/verifyItems": [
    { type: "effect/verifyItems", peerId: null, batchId, pool: "snark", items: [item] },
    ["chain.verifyItems", 9, "snark", [item], null],
  ],
  "effect/verifyAgain": [
    { type: "effect/verifyAgain", batchId, pool: "snark-job-commitment", hashes: [hash] },
    ["chain.verifyAgain", 9, "snark-job-commitment", [hash]],
  ],
  "effect/loadItems": [
    { type: "effect/loadItems", attemptId, rpcId, hashes: [hash] },
    ["chain.loadItems", 7, 5, [hash]],
  ],
  "effect/forgetItems": [{ type: "effect/forgetItems", hashes: [hash] }, ["chain.forgetItems", [hash]]],
  "effect/verifyHeaders": [
    { type: "effect/verifyHeaders", checkId, headers: [header.value] },
    ["chain.verifyHeaders", 10, [header.value]],
  ],
  "effect/loadBlock": [{ type: "effect/loadBlock", attemptId, rpcId, hash }, ["chain.loadBlock", 7, 5, hash]],
  "effect/loadAncestry": [
    { type: "effect/loadAncestry", attemptId, rpcId, hash, count: 3 },
    ["chain.loadAncestry", 7, 5, hash, 3],
  ],
  "effect/prepareBlock": [{ type: "effect/prepareBlock", hash, block }, ["chain.prepareBlock", hash, block]],
  "effect/supplyItems": [
    { type: "effect/supplyItems", hash, items: [item] },
    ["chain.supplyItems", hash, [item]],
  ],
  "effect/applyBlock": [{ type: "effect/applyBlock", hash }, ["chain.applyBlock", hash]],
  "effect/adoptTip": [{ type: "effect/adoptTip", hash }, ["chain.adoptTip", hash]],
  "effect/forgetBlocks": [{ type: "effect/forgetBlocks", hashes: [hash] }, ["chain.forgetBlocks", [hash]]],
  "effect/produceBlock": [
    { type: "effect/produceBlock", parent: hash, slot: 4, transactions: [root], snarks: [hash] },
    ["chain.produceBlock", hash, 4, [root], [hash]],
  ],
  "effect/signCommitment": [
    { type: "effect/signCommitment", jobId, fee: 2n, issuedAt: 3n },
    ["chain.signCommitment", jobId, 2n, 3n],
  ],
  "effect/makeSnark": [{ type: "effect/makeSnark", jobId, fee: 2n }, ["chain.makeSnark", jobId, 2n]],
  "effect/abandonSnark": [{ type: "effect/abandonSnark" }, ["chain.abandonSnark"]],
  "effect/applySnapshot": [
    { type: "effect/applySnapshot", tip: tipOf(header.value) },
    ["chain.applySnapshot", tipOf(header.value)],
  ],
  "effect/openStream": [
    { type: "effect/openStream", attemptId, streamId, root },
    ["streams.open", 7, 6, root],
  ],
  "effect/loadChunk": [
    { type: "effect/loadChunk", attemptId, streamId, root, index: 3 },
    ["streams.loadChunk", 7, 6, root, 3],
  ],
  "effect/closeStream": [{ type: "effect/closeStream", attemptId, streamId }, ["streams.close", 7, 6]],
  "effect/storeChunk": [
    { type: "effect/storeChunk", attemptId, streamId, chunk },
    ["streams.storeChunk", 7, 6, chunk],
  ],
  "effect/discardStream": [{ type: "effect/discardStream", root }, ["streams.discard", root]],
  "effect/answerCommand": [
    { type: "effect/answerCommand", requestId, result: { tag: "submitted", hash } },
    ["operator.answer", 8, { tag: "submitted", hash }],
  ],
};

describe("effects", () => {
  test.each(Object.values(CASES).map(([effect, call]) => [effect.type, effect, call] as const))(
    "%s is exactly one call of one service",
    (_, effect, call) => {
      const { services, calls } = scribe();
      runEffect(effect, services);
      expect(calls).toEqual([call]);
    },
  );

  test("messages leave in the encoding of their channel", () => {
    const vectors = {
      control: CONTROL,
      "signaling/discovery": DISCOVERY,
      "signaling/exchange": EXCHANGE,
      "best-tip": BEST_TIP,
      transaction: TRANSACTION,
      snark: SNARK,
      "snark-job-commitment": COMMITMENT,
      rpc: [...REQUESTS, ...RESPONSES],
      "streaming-rpc": STREAMING,
    };
    for (const channel of CHANNEL_NAMES) {
      for (const { schema, value, bytes } of vectors[channel]) {
        expect(schema).toBe(CHANNELS[channel].schema);
        const said = { channel, message: value } as ChannelMessage;
        const { services, calls } = scribe();
        runEffect({ type: "effect/send", attemptId, ...said }, services);
        expect(calls).toEqual([["transport.send", 7, channel, bytes]]);
      }
    }
  });
});
