import { controlSchema } from "../core/channels/control.ts";
import { rpcSchema } from "../core/channels/rpc.ts";
import { transactionSchema } from "../core/channels/transaction.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect, Outgoing } from "../core/effects.ts";
import type { Services } from "../core/services.ts";

type Handlers = {
  readonly [Type in Effect["type"]]: (effect: Extract<Effect, { type: Type }>, services: Services) => void;
};

/** One effect, one call of one service: nothing is decided here. */
const handlers: Handlers = {
  "effect/createOffer": ({ attemptId }, { transport }) => transport.createOffer(attemptId),
  "effect/createAnswer": ({ attemptId, sdp }, { transport }) => transport.createAnswer(attemptId, sdp),
  "effect/applyAnswer": ({ attemptId, sdp }, { transport }) => transport.applyAnswer(attemptId, sdp),
  "effect/addCandidates": ({ attemptId, candidates }, { transport }) =>
    transport.addCandidates(attemptId, candidates),
  "effect/send": (effect, { transport }) =>
    transport.send(effect.attemptId, effect.channel, encodeMessage(effect)),
  "effect/close": ({ attemptId, graceful }, { transport }) => transport.close(attemptId, graceful),
  "effect/postSignal": ({ attemptId, address, envelope }, { signaling }) =>
    signaling.post(attemptId, address, envelope),
  "effect/replySignal": ({ requestId, reply }, { signaling }) => signaling.reply(requestId, reply),
  "effect/openEnvelope": ({ attemptId, kind, envelope }, { crypto }) =>
    crypto.open(attemptId, kind, envelope),
  "effect/verifySignature": ({ attemptId, publicKey, digest, signature }, { crypto }) =>
    crypto.verify(attemptId, publicKey, digest, signature),
  "effect/sealSignal": ({ attemptId, label, unsigned, prefix, recipient }, { crypto }) =>
    crypto.seal(attemptId, label, unsigned, prefix, recipient),
  "effect/verifyTransactions": ({ batchId, items }, { chain }) => chain.verifyTransactions(batchId, items),
  "effect/loadItems": ({ attemptId, rpcId, hashes }, { chain }) => chain.loadItems(attemptId, rpcId, hashes),
  "effect/forgetItems": ({ hashes }, { chain }) => chain.forgetItems(hashes),
  "effect/answerCommand": ({ requestId, result }, { operator }) => operator.answer(requestId, result),
};

export function runEffect(effect: Effect, services: Services): void {
  // The table is total by its type; TypeScript cannot see that the key and the parameter belong together.
  const handler = handlers[effect.type] as (effect: Effect, services: Services) => void;
  handler(effect, services);
}

function encodeMessage(outgoing: Outgoing): Uint8Array {
  switch (outgoing.channel) {
    case "control":
      return encode(controlSchema, outgoing.message);
    case "transaction":
      return encode(transactionSchema, outgoing.message);
    case "rpc":
      return encode(rpcSchema, outgoing.message);
  }
}
