import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, toHex, uintBytes } from "../core/bytes.ts";
import { encode } from "../core/codec/codec.ts";
import type { SignalOutcome } from "../core/services.ts";
import { SIGNAL_VERSION, unsignedOfferSchema } from "../core/signals.ts";
import { signSignal } from "./sim-crypto.ts";
import type { Identity } from "./sim-identity.ts";
import { describe } from "./sim-sdp.ts";
import type { Cluster } from "./simulator.ts";

/** Somebody without a node who posts offers over HTTP, whatever he likes in them. */
export interface StrangerOffer {
  readonly to: number;
  /** Whose key the offer claims. */
  readonly from: Identity;
  /** Whose secret it is signed with: the key's own, or another one for a forgery. */
  readonly signer: Identity;
  /** Tells attempts apart, and is the replay of an earlier one if repeated. */
  readonly number: number;
  readonly remoteAddress: string;
}

/** @param done what the HTTP client gets */
export function postOffer(
  cluster: Cluster,
  offer: StrangerOffer,
  done: (outcome: SignalOutcome) => void,
): void {
  const { clock, vault, web } = cluster;
  const { peerId: _peerId, ...address } = cluster.addressOf(offer.to);
  const recipient = cluster.identity(offer.to).publicKey;
  const ufrag = `stranger${offer.number}`;
  const fingerprint = toHex(sha256(ascii(ufrag)));
  const unsigned = encode(unsignedOfferSchema, {
    version: SIGNAL_VERSION,
    chainId: cluster.node(offer.to).state.config.chainId,
    from: offer.from.publicKey,
    to: recipient,
    nonce: toHex(uintBytes(offer.number, 16)),
    issuedAt: BigInt(clock.nowMs),
    sdp: describe({ ufrag, fingerprint, answers: null }, offer.remoteAddress, 50_000),
    listen: null,
  });
  const signed = signSignal(vault, offer.signer, "pollen/offer/1", unsigned);
  web.post(offer.remoteAddress, address, vault.seal("offer", recipient, signed), done);
}
