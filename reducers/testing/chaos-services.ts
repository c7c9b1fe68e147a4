import type { Input } from "../../core/actions.ts";
import { type Tip, tipOf } from "../../core/block.ts";
import { ascii, type Hex } from "../../core/bytes.ts";
import type { BlockVerdict, ItemRef, ItemVerdict, TipChange } from "../../core/chain.ts";
import { encode } from "../../core/codec/codec.ts";
import type { Effect } from "../../core/effects.ts";
import { itemHash } from "../../core/hash.ts";
import type { Hash } from "../../core/ids.ts";
import type { PoolName } from "../../core/pools.ts";
import { type Offer, offerSchema } from "../../core/signals.ts";
import { childOf, headerOf } from "./chain.ts";
import { blockNamed, type Dice, IPS, ITEMS, itemNamed, JOBS, NAMES, SNAPSHOTS } from "./chaos-things.ts";
import { poolOf } from "./items.ts";
import { type Party, party, type TestNode } from "./node.ts";
import {
  answerTo,
  candidate,
  FINGERPRINT,
  multiaddrOf,
  offerOf,
  rejectionOf,
  sdpText,
  sealed,
} from "./signals.ts";

// Services that answer everything: mostly right, now and then with the failures they may have.

/** What the services make of an effect; null if they say nothing. */
export function servicesOf(node: TestNode, dice: Dice): (effect: Effect) => Input | null {
  const { random, pick, chance, bytes } = dice;
  /** Blocks and proofs made here. */
  const made = new Map<Hash, Tip>();
  const proofs = new Map<Hash, ItemVerdict>();

  const tipNamed = (hash: Hash): Tip | undefined => made.get(hash) ?? blockNamed(hash)?.tip;

  const blockVerdict = (): BlockVerdict =>
    chance(90)
      ? { tag: "valid" }
      : pick<BlockVerdict>([
          { tag: "invalid", detail: "bad" },
          { tag: "notNow", detail: "later" },
        ]);

  function itemVerdict(pool: PoolName, hash: Hash): ItemVerdict {
    const proof = proofs.get(hash);
    if (proof !== undefined) return proof;
    const { info } = itemNamed(hash) ?? pick(ITEMS[pool]);
    if (chance(75)) return { tag: "valid", info };
    return chance(20) ? { tag: "invalid", detail: "bad" } : { tag: "notNow", detail: "later" };
  }

  const verdictsOf = (pool: PoolName, hashes: readonly Hash[]): readonly ItemVerdict[] | null =>
    chance(5) ? null : hashes.map((hash) => itemVerdict(pool, hash));

  function tipChange(tip: Tip): TipChange {
    const extendsOld = tip.parent === node.state.chain.tip.hash;
    const returned = extendsOld ? [] : [pick(ITEMS.transaction).info, pick(ITEMS.snark).info];
    return {
      tip,
      extendsOld,
      removed: poolOf(node).filter(() => chance(15)),
      returned: returned.flatMap((info) => ("issuedAt" in info ? [] : [info])),
      jobsAdded: JOBS.filter((jobId) => chance(20) && !node.state.chain.jobNumbers.has(jobId)),
      jobsRemoved: [...node.state.chain.jobs.values()].filter(() => chance(20)),
      lockHeight: random(tip.height + 1),
    };
  }

  function plaintextOf({
    attemptId,
    kind,
  }: Extract<Effect, { type: "effect/openEnvelope" }>): Uint8Array | null {
    if (chance(4)) return null;
    if (chance(4)) return bytes(random(400));
    const attempt = node.state.attempts.get(attemptId);
    if (kind === "answer") {
      if (attempt?.peerId == null) return null;
      if (chance(15)) return rejectionOf(node, attemptId, random(12), random(100_000));
      return answerTo(node, attemptId, chance(8) ? { issuedAt: 1n } : {});
    }
    const who = partyWithKey(attempt?.via?.from) ?? party(pick(NAMES));
    const listen = chance(50) ? multiaddrOf(who) : null;
    return encode(offerSchema, offerOf(node, who, chance(25) ? oddOffer(node, dice) : { listen }));
  }

  return (effect) => {
    const isFaulty = chance(8);
    switch (effect.type) {
      case "effect/createOffer":
      case "effect/createAnswer": {
        const { attemptId } = effect;
        if (isFaulty) return { type: "event/connectionClosed", attemptId, error: "no SDP" };
        const setup = effect.type === "effect/createOffer" ? "actpass" : "active";
        const sdp = chance(3) ? "ü".repeat(5_000) : sdpText({ setup });
        return { type: "event/localDescription", attemptId, sdp };
      }
      case "effect/applyAnswer":
      case "effect/addCandidates": {
        const { attemptId } = effect;
        const fingerprint = isFaulty ? "00".repeat(32) : FINGERPRINT;
        return { type: "event/connected", attemptId, fingerprint, remoteAddress: pick(IPS) };
      }
      case "effect/close":
        return { type: "event/connectionClosed", attemptId: effect.attemptId, error: null };
      case "effect/postSignal": {
        const { attemptId } = effect;
        const outcome = isFaulty
          ? pick([
              { tag: "failed", error: "refused" } as const,
              { tag: "refused", status: 503, retryAfterS: pick([null, 1, 60]) } as const,
            ])
          : ({ tag: "envelope", envelope: bytes(1), remoteAddress: pick(IPS) } as const);
        return { type: "event/signalAnswered", attemptId, outcome };
      }
      case "effect/openEnvelope":
        return { type: "event/envelopeOpened", attemptId: effect.attemptId, plaintext: plaintextOf(effect) };
      case "effect/verifySignature":
        return { type: "event/signatureChecked", attemptId: effect.attemptId, valid: !isFaulty };
      case "effect/sealSignal":
        return sealed(effect);
      case "effect/verifyItems": {
        const { batchId, pool, items } = effect;
        const verdicts = verdictsOf(
          pool,
          items.map(({ hash }) => hash),
        );
        return { type: "event/itemsVerified", batchId, verdicts };
      }
      case "effect/verifyAgain": {
        const { batchId, pool, hashes } = effect;
        return { type: "event/itemsVerified", batchId, verdicts: verdictsOf(pool, hashes) };
      }
      case "effect/loadItems": {
        const { attemptId, rpcId } = effect;
        const items = effect.hashes.map((hash) => {
          const held = itemNamed(hash)?.bytes ?? null;
          return chance(20) ? bytes(pick([0, 16_384, 16_385])) : held;
        });
        return { type: "event/itemsLoaded", attemptId, rpcId, items };
      }
      case "effect/verifyHeaders":
        return { type: "event/headersVerified", checkId: effect.checkId, verdict: blockVerdict() };
      case "effect/loadBlock": {
        const { attemptId, rpcId, hash } = effect;
        const found = isFaulty ? undefined : blockNamed(hash);
        const block = found === undefined ? null : { header: headerOf(found.tip), body: found.body };
        return { type: "event/blockLoaded", attemptId, rpcId, block };
      }
      case "effect/loadAncestry": {
        const { attemptId, rpcId, hash, count } = effect;
        const headers = [];
        for (
          let tip = tipNamed(hash);
          tip !== undefined && headers.length < count;
          tip = tipNamed(tip.parent)
        )
          headers.push(headerOf(tip));
        return { type: "event/ancestryLoaded", attemptId, rpcId, headers };
      }
      case "effect/prepareBlock": {
        const { hash, block } = effect;
        const missing: readonly ItemRef[] = [
          ...block.body.transactions.map((item) => ({ pool: "transaction", hash: item }) as const),
          ...block.body.snarks.map((item) => ({ pool: "snark", hash: item.hash }) as const),
        ].filter(() => chance(60));
        return { type: "event/blockPrepared", hash, missing };
      }
      case "effect/applyBlock":
        return { type: "event/blockApplied", hash: effect.hash, verdict: blockVerdict() };
      case "effect/adoptTip": {
        const tip = tipNamed(effect.hash);
        return tip === undefined ? null : { type: "event/tipAdopted", change: tipChange(tip) };
      }
      case "effect/produceBlock": {
        const { parent, slot } = effect;
        const on = tipNamed(parent);
        if (on === undefined || chance(80)) return { type: "event/blockProduced", slot, header: null };
        const header = headerOf(childOf(on, `made ${made.size}`, { slot, timestamp: BigInt(node.nowMs) }));
        const tip = tipOf(header);
        made.set(tip.hash, tip);
        return { type: "event/blockProduced", slot, header };
      }
      case "effect/signCommitment": {
        const { jobId, fee, issuedAt } = effect;
        const commitment = { jobId, fee, issuedAt, snarker: "5e".repeat(32), signature: "5a".repeat(64) };
        return { type: "event/commitmentSigned", commitment };
      }
      case "effect/makeSnark": {
        const { jobId, fee } = effect;
        const proof = ascii(`proof ${jobId}`);
        const hash = itemHash(proof) as Hash;
        proofs.set(hash, { tag: "valid", info: { jobId, hash, fee, prover: "5e".repeat(32) } });
        return { type: "event/snarkMade", jobId, bytes: proof };
      }
      case "effect/applySnapshot":
        return { type: "event/snapshotApplied", hash: effect.tip.hash, verdict: blockVerdict() };
      case "effect/openStream": {
        const { attemptId, streamId, root } = effect;
        const manifest = SNAPSHOTS.find((snapshot) => snapshot.root === root)?.manifest ?? null;
        return { type: "event/streamOpened", attemptId, streamId, manifest };
      }
      case "effect/loadChunk": {
        const { attemptId, streamId, index } = effect;
        const chunk = isFaulty ? null : { data: bytes(3), proof: [] };
        return { type: "event/chunkLoaded", attemptId, streamId, index, chunk };
      }
      case "effect/storeChunk": {
        const { attemptId, streamId, chunk } = effect;
        const outcome = isFaulty ? pick(["invalid", "failed"] as const) : "stored";
        return {
          type: "event/chunkStored",
          attemptId,
          streamId,
          root: chunk.root,
          index: chunk.index,
          outcome,
        };
      }
      default:
        return null;
    }
  };
}

const partyWithKey = (publicKey: Hex | null | undefined): Party | undefined =>
  NAMES.map(party).find((known) => known.publicKey === publicKey);

const oddOffer = (node: TestNode, { pick, random }: Dice): Partial<Offer> =>
  pick<Partial<Offer>>([
    { version: 2 },
    { chainId: "00".repeat(32) },
    { from: node.state.config.publicKey },
    { from: "ff".repeat(32) },
    { to: party("peer 0").publicKey },
    { issuedAt: 0n },
    { issuedAt: 2n ** 64n - 1n },
    { issuedAt: BigInt(node.nowMs + random(120_000) - 60_000) },
    { nonce: "11".repeat(16) },
    { sdp: "v=0" },
    { sdp: sdpText({ candidates: [candidate("127.0.0.1"), candidate("10.0.0.1")] }) },
    { listen: "x" },
  ]);
