import { assert } from "./assert.ts";
import { fromHex, type Hex, toHex } from "./bytes.ts";
import { decode, encode } from "./codec/codec.ts";
import {
  bytes,
  bytesUpTo,
  hex,
  type Infer,
  option,
  refined,
  string,
  struct,
  u8,
  u32,
  u64,
  union,
} from "./codec/schema.ts";
import { hash, sha256Hex } from "./hash.ts";
import { ADDRESS_BYTES_MAX, ENVELOPE_BYTES_MAX, SDP_BYTES_MAX } from "./limits.ts";
import { REJECTIONS } from "./reasons.ts";
import type { SignalLabel } from "./services.ts";

export const SIGNAL_VERSION = 1;
export const SIGNATURE_BYTES = 64;
/** ephemeral key, nonce and the length of the ciphertext */
const ENVELOPE_HEAD_BYTES = 32 + 12 + 4;

// The fields stand in the order of the wire (section 3); the signature is the last of each.
const offerFields = {
  version: u8,
  chainId: hex(32),
  from: hex(32),
  to: hex(32),
  nonce: hex(16),
  issuedAt: u64,
  sdp: string(SDP_BYTES_MAX),
  listen: option(string(ADDRESS_BYTES_MAX)),
};
const answerFields = {
  version: u8,
  from: hex(32),
  to: hex(32),
  nonce: hex(16),
  offerHash: hex(32),
  issuedAt: u64,
  sdp: string(SDP_BYTES_MAX),
};
const rejectedFields = {
  version: u8,
  from: hex(32),
  to: hex(32),
  nonce: hex(16),
  offerHash: hex(32),
  issuedAt: u64,
  reason: refined(u8, (reason) => (reason < REJECTIONS.length ? null : `reason ${reason} is unknown`)),
  retryAfterMs: u32,
};
const signature = bytes(SIGNATURE_BYTES);

export const offerSchema = struct({ ...offerFields, signature });
export const unsignedOfferSchema = struct(offerFields);
export const unsignedAnswerSchema = struct(answerFields);
export const unsignedRejectedSchema = struct(rejectedFields);
export const replySchema = union({
  answer: { ...answerFields, signature },
  rejected: { ...rejectedFields, signature },
});

/** What HTTP and relays carry: sealed, so that neither they nor observers read addresses. */
export const envelopeSchema = struct({
  ephemeral: bytes(32),
  nonce: bytes(12),
  ciphertext: bytesUpTo(ENVELOPE_BYTES_MAX - ENVELOPE_HEAD_BYTES),
});

export type Envelope = Infer<typeof envelopeSchema>;

/** The same as one piece, as HTTP and the crypto service have it. */
export const envelopeBytes = (envelope: Envelope): Uint8Array => encode(envelopeSchema, envelope);

/** @throws AssertionError for bytes that are not an envelope: only our own are given */
export function envelopeOf(bytes: Uint8Array): Envelope {
  const decoded = decode(envelopeSchema, bytes, ENVELOPE_BYTES_MAX);
  assert(decoded.tag === "decoded", "an envelope of ours can be read");
  return decoded.value;
}

export type Offer = Infer<typeof offerSchema>;
export type Reply = Infer<typeof replySchema>;

/** Tag of a Reply, which precedes the signed struct inside the envelope. */
export const REPLY_TAGS = { answer: Uint8Array.of(0), rejected: Uint8Array.of(1) } as const;

/** What a signal's signature is over. @param signed the struct with its signature, as received */
export const signalDigest = (label: SignalLabel, signed: Uint8Array): Uint8Array =>
  hash(label, signed.subarray(0, signed.length - SIGNATURE_BYTES));

/** SHA-256 of the offer with its signature. */
export const offerHash = (signedOffer: Uint8Array): Hex => sha256Hex(signedOffer);

/** What a Hello carries: proof that both ends mean the same offer and the same answer (section 4). */
export const sessionOf = (offer: Hex, signedAnswer: Uint8Array): Hex =>
  toHex(hash("pollen/session/1", fromHex(offer), fromHex(sha256Hex(signedAnswer))));
