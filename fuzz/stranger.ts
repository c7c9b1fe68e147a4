import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, type Hex, toHex, uintBytes } from "../core/bytes.ts";
import { encode } from "../core/codec/codec.ts";
import type { SignalOutcome } from "../core/services.ts";
import { type Envelope, envelopeOf, SIGNAL_VERSION, unsignedOfferSchema } from "../core/signals.ts";
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
  const { vault, web } = cluster;
  const { peerId: _peerId, ...address } = cluster.addressOf(offer.to);
  const recipient = cluster.identity(offer.to).publicKey;
  const { from, signer, number, remoteAddress } = offer;
  const signed = signedOffer(cluster, { from, signer, to: recipient, number, remoteAddress });
  web.post(remoteAddress, address, vault.seal("offer", recipient, signed), done);
}

export interface ForgedOffer {
  /** Whose key the offer claims. */
  readonly from: Identity;
  /** For whom it is. */
  readonly to: Hex;
  readonly number: number;
  readonly signer?: Identity;
  readonly remoteAddress?: string;
}

/** An offer as a relay is given it. Of a transport that there is not. */
export function sealedOffer(cluster: Cluster, offer: ForgedOffer): Envelope {
  return envelopeOf(cluster.vault.seal("offer", offer.to, signedOffer(cluster, offer)));
}

function signedOffer(cluster: Cluster, offer: ForgedOffer): Uint8Array {
  const { from, to, number, signer = from, remoteAddress = "30.0.0.1" } = offer;
  const ufrag = `stranger${number}`;
  const fingerprint = toHex(sha256(ascii(ufrag)));
  const unsigned = encode(unsignedOfferSchema, {
    version: SIGNAL_VERSION,
    chainId: cluster.node(0).state.config.chainId,
    from: from.publicKey,
    to,
    nonce: toHex(uintBytes(number, 16)),
    issuedAt: BigInt(cluster.clock.nowMs),
    sdp: describe({ ufrag, fingerprint, answers: null }, remoteAddress, 50_000),
    listen: null,
  });
  return signSignal(cluster.vault, signer, "pollen/offer/1", unsigned);
}
