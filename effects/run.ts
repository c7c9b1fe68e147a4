import { encodeMessage } from "../core/channels/table.ts";
import type { Effect } from "../core/effects.ts";
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
  "effect/verifyItems": ({ peerId, batchId, pool, items }, { chain }) =>
    chain.verifyItems(batchId, pool, items, peerId),
  "effect/verifyAgain": ({ batchId, pool, hashes }, { chain }) => chain.verifyAgain(batchId, pool, hashes),
  "effect/loadItems": ({ attemptId, rpcId, hashes }, { chain }) => chain.loadItems(attemptId, rpcId, hashes),
  "effect/forgetItems": ({ hashes }, { chain }) => chain.forgetItems(hashes),
  "effect/verifyHeaders": ({ checkId, headers }, { chain }) => chain.verifyHeaders(checkId, headers),
  "effect/loadBlock": ({ attemptId, rpcId, hash }, { chain }) => chain.loadBlock(attemptId, rpcId, hash),
  "effect/loadAncestry": ({ attemptId, rpcId, hash, count }, { chain }) =>
    chain.loadAncestry(attemptId, rpcId, hash, count),
  "effect/prepareBlock": ({ hash, block }, { chain }) => chain.prepareBlock(hash, block),
  "effect/supplyItems": ({ hash, items }, { chain }) => chain.supplyItems(hash, items),
  "effect/applyBlock": ({ hash }, { chain }) => chain.applyBlock(hash),
  "effect/adoptTip": ({ hash }, { chain }) => chain.adoptTip(hash),
  "effect/forgetBlocks": ({ hashes }, { chain }) => chain.forgetBlocks(hashes),
  "effect/produceBlock": ({ parent, slot, transactions, snarks }, { chain }) =>
    chain.produceBlock(parent, slot, transactions, snarks),
  "effect/signCommitment": ({ jobId, fee, issuedAt }, { chain }) =>
    chain.signCommitment(jobId, fee, issuedAt),
  "effect/makeSnark": ({ jobId, fee }, { chain }) => chain.makeSnark(jobId, fee),
  "effect/abandonSnark": (_effect, { chain }) => chain.abandonSnark(),
  "effect/applySnapshot": ({ tip }, { chain }) => chain.applySnapshot(tip),
  "effect/openStream": ({ attemptId, streamId, root }, { streams }) =>
    streams.open(attemptId, streamId, root),
  "effect/loadChunk": ({ attemptId, streamId, root, index }, { streams }) =>
    streams.loadChunk(attemptId, streamId, root, index),
  "effect/closeStream": ({ attemptId, streamId }, { streams }) => streams.close(attemptId, streamId),
  "effect/storeChunk": ({ attemptId, streamId, chunk }, { streams }) =>
    streams.storeChunk(attemptId, streamId, chunk),
  "effect/discardStream": ({ root }, { streams }) => streams.discard(root),
  "effect/answerCommand": ({ requestId, result }, { operator }) => operator.answer(requestId, result),
};

export function runEffect(effect: Effect, services: Services): void {
  // The table is total by its type; TypeScript cannot see that the key and the parameter belong together.
  const handler = handlers[effect.type] as (effect: Effect, services: Services) => void;
  handler(effect, services);
}
