import { describe, expect, test } from "vitest";
import { controlSchema } from "../core/channels/control.ts";
import { rpcSchema } from "../core/channels/rpc.ts";
import { transactionSchema } from "../core/channels/transaction.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import type { AttemptId, BatchId, Hash, PeerId, RequestId } from "../core/ids.ts";
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
      createOffer: note("createOffer"),
      createAnswer: note("createAnswer"),
      applyAnswer: note("applyAnswer"),
      addCandidates: note("addCandidates"),
      send: note("send"),
      close: note("close"),
    },
    signaling: { post: note("post"), reply: note("reply") },
    crypto: { open: note("open"), verify: note("verify"), seal: note("seal") },
    chain: {
      verifyTransactions: note("verifyTransactions"),
      loadItems: note("loadItems"),
      forgetItems: note("forgetItems"),
    },
    operator: { answer: note("answer") },
  };
  return { services, calls };
}

const attemptId = 7 as AttemptId;
const requestId = 8 as RequestId;
const batchId = 9 as BatchId;
const hash = "ab".repeat(32) as Hash;
const bytes = Uint8Array.of(1, 2);
const address = {
  scheme: "http",
  hostKind: "ip4",
  host: "1.2.3.4",
  port: 1,
  peerId: "12D3KooW" as PeerId,
} as const;
const ping = { tag: "ping", n: 3 } as const;
const refloor = { tag: "refloor", window: { seq: 1, floor: null, band: null } } as const;
const busy = { tag: "response", id: 4, body: { tag: "busy" } } as const;

/** One entry for each type of effect: the compiler knows if one is missing. */
const CASES: { readonly [Type in Effect["type"]]: readonly [Extract<Effect, { type: Type }>, Call] } = {
  "effect/createOffer": [{ type: "effect/createOffer", attemptId }, ["createOffer", 7]],
  "effect/createAnswer": [{ type: "effect/createAnswer", attemptId, sdp: "s" }, ["createAnswer", 7, "s"]],
  "effect/applyAnswer": [{ type: "effect/applyAnswer", attemptId, sdp: "s" }, ["applyAnswer", 7, "s"]],
  "effect/addCandidates": [
    { type: "effect/addCandidates", attemptId, candidates: ["c"] },
    ["addCandidates", 7, ["c"]],
  ],
  "effect/send": [
    { type: "effect/send", attemptId, channel: "control", message: ping },
    ["send", 7, "control", encode(controlSchema, ping)],
  ],
  "effect/close": [{ type: "effect/close", attemptId, graceful: true }, ["close", 7, true]],
  "effect/postSignal": [
    { type: "effect/postSignal", attemptId, address, envelope: bytes },
    ["post", 7, address, bytes],
  ],
  "effect/replySignal": [
    { type: "effect/replySignal", requestId, reply: { tag: "undecodable" } },
    ["reply", 8, { tag: "undecodable" }],
  ],
  "effect/openEnvelope": [
    { type: "effect/openEnvelope", attemptId, kind: "offer", envelope: bytes },
    ["open", 7, "offer", bytes],
  ],
  "effect/verifySignature": [
    { type: "effect/verifySignature", attemptId, publicKey: "k", digest: bytes, signature: bytes },
    ["verify", 7, "k", bytes, bytes],
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
    ["seal", 7, "pollen/offer/1", bytes, Uint8Array.of(1), "r"],
  ],
  "effect/verifyTransactions": [
    { type: "effect/verifyTransactions", batchId, items: [{ hash, bytes }] },
    ["verifyTransactions", 9, [{ hash, bytes }]],
  ],
  "effect/loadItems": [
    { type: "effect/loadItems", attemptId, rpcId: 5, hashes: [hash] },
    ["loadItems", 7, 5, [hash]],
  ],
  "effect/forgetItems": [{ type: "effect/forgetItems", hashes: [hash] }, ["forgetItems", [hash]]],
  "effect/answerCommand": [
    { type: "effect/answerCommand", requestId, result: { tag: "submitted", hash } },
    ["answer", 8, { tag: "submitted", hash }],
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
    const { services, calls } = scribe();
    runEffect({ type: "effect/send", attemptId, channel: "transaction", message: refloor }, services);
    runEffect({ type: "effect/send", attemptId, channel: "rpc", message: busy }, services);
    expect(calls).toEqual([
      ["send", 7, "transaction", encode(transactionSchema, refloor)],
      ["send", 7, "rpc", encode(rpcSchema, busy)],
    ]);
  });
});
