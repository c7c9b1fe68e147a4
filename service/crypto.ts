import {
  createCipheriv,
  createDecipheriv,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import type { CryptoEvent } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import { ascii, concatBytes, fromHex, type Hex, toHex } from "../core/bytes.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { hash } from "../core/hash.ts";
import { toPeerId } from "../core/identity.ts";
import type { PeerId } from "../core/ids.ts";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import type { Crypto, EnvelopeKind } from "../core/services.ts";
import { envelopeSchema } from "../core/signals.ts";
import {
  isCanonicalOfLargeOrder,
  publicKeyOf,
  rawPublicKey,
  secretKeyOf,
  sign,
  toX25519Public,
  toX25519Secret,
  verifySignature,
} from "./ed25519.ts";

export interface CryptoOptions {
  /** The node's ed25519 key, or its 32-byte seed. It stays inside. */
  readonly secretKey: KeyObject | Uint8Array;
  /** Called once for each call of a method, always later, never from within it. */
  readonly emit: (event: CryptoEvent) => void;
}

export type NodeCrypto = Crypto & { readonly peerId: PeerId; readonly publicKeyHex: Hex };

/** What makes an envelope unlike every other. Given only where a vector must come out the same again. */
export interface EnvelopeEntropy {
  /** 32 bytes, used once. */
  readonly ephemeralSecret: Uint8Array;
  /** 12 bytes */
  readonly nonce: Uint8Array;
}

/** The Crypto service over OpenSSL. Signatures are made and checked in the thread pool. */
export function createCrypto({ secretKey: given, emit }: CryptoOptions): NodeCrypto {
  const secretKey = given instanceof Uint8Array ? secretKeyOf("ed25519", given) : given;
  const publicKey = rawPublicKey(secretKey);
  const envelopeSecret = toX25519Secret(secretKey);
  // Outside of every promise and callback: an error thrown by the core must reach the composition root.
  const emitLater = (event: CryptoEvent): void => {
    setImmediate(() => emit(event));
  };
  return {
    peerId: toPeerId(publicKey),
    publicKeyHex: toHex(publicKey),
    open: (attemptId, kind, envelope) => {
      const plaintext = openEnvelope(kind, envelopeSecret, publicKey, envelope);
      emitLater({ type: "event/envelopeOpened", attemptId, plaintext });
    },
    verify: (attemptId, key, digest, signature) => {
      void verifySignature(key, digest, signature).then((valid) =>
        emitLater({ type: "event/signatureChecked", attemptId, valid }),
      );
    },
    seal: (attemptId, label, unsigned, prefix, recipientHex) => {
      const recipient = fromHex(recipientHex);
      // Checked at once, so that a mistake of the core shows where it was made.
      assertRecipient(recipient);
      void sign(secretKey, hash(label, unsigned)).then((signature) => {
        const signed = concatBytes(unsigned, signature);
        const kind = label === "pollen/offer/1" ? "offer" : "answer";
        const envelope = sealEnvelope(kind, recipient, concatBytes(prefix, signed));
        emitLater({ type: "event/signalSealed", attemptId, signed, envelope });
      });
    },
  };
}

/**
 * Seals a plaintext of at most 16,320 bytes (section 3).
 * @param recipient raw ed25519 key, for which `isPublicKey` holds
 */
export function sealEnvelope(
  kind: EnvelopeKind,
  recipient: Uint8Array,
  plaintext: Uint8Array,
  { ephemeralSecret, nonce }: EnvelopeEntropy = {
    ephemeralSecret: randomBytes(32),
    nonce: Uint8Array.from(randomBytes(12)),
  },
): Uint8Array {
  const secret = secretKeyOf("x25519", ephemeralSecret);
  const ephemeral = rawPublicKey(secret);
  const shared = sharedSecret(secret, toX25519Public(recipient));
  assert(shared !== null, "an envelope is sealed for a key of large order");
  const key = envelopeKey(kind, shared, ephemeral, recipient);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(LABELS[kind]);
  const ciphertext = concatBytes(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
  return encode(envelopeSchema, { ephemeral, nonce, ciphertext });
}

/**
 * The plaintext; null for every other byte string, whatever is wrong with it. Never throws.
 * @param secret the X25519 form of the recipient's key
 * @param recipient the recipient's raw ed25519 key
 */
export function openEnvelope(
  kind: EnvelopeKind,
  secret: KeyObject,
  recipient: Uint8Array,
  bytes: Uint8Array,
): Uint8Array | null {
  const envelope = decode(envelopeSchema, bytes, ENVELOPE_BYTES_MAX);
  if (envelope.tag === "failed") return null;
  const { ephemeral, nonce, ciphertext } = envelope.value;
  const tagAt = ciphertext.length - TAG_BYTES;
  if (tagAt < 0) return null;
  const shared = sharedSecret(secret, publicKeyOf("x25519", ephemeral));
  if (shared === null) return null;
  const key = envelopeKey(kind, shared, ephemeral, recipient);
  const decipher = createDecipheriv(CIPHER, key, nonce)
    .setAAD(LABELS[kind])
    .setAuthTag(ciphertext.subarray(tagAt));
  const plaintext = decipher.update(ciphertext.subarray(0, tagAt));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return Uint8Array.from(plaintext);
}

const CIPHER = "aes-256-gcm";
const TAG_BYTES = 16;

/** Both the HKDF info and the AAD: an envelope of one direction does not open in the other. */
const LABELS: Readonly<Record<EnvelopeKind, Uint8Array>> = {
  offer: ascii("pollen/offer/1"),
  answer: ascii("pollen/answer/1"),
};

/** A point off the curve or of small order has no secret to share; both mean that the caller failed its duty. */
function assertRecipient(recipient: Uint8Array): void {
  assert(isCanonicalOfLargeOrder(recipient), "a recipient is a canonical key of large order");
  toX25519Public(recipient);
}

/** Null for an all-zero result, that is, a public key of small order: anybody could compute what follows from it. */
function sharedSecret(secret: KeyObject, publicKey: KeyObject): Uint8Array | null {
  try {
    const shared = diffieHellman({ privateKey: secret, publicKey });
    return shared.some((byte) => byte !== 0) ? shared : null;
  } catch {
    // OpenSSL itself refuses the all-zero result.
    return null;
  }
}

const envelopeKey = (
  kind: EnvelopeKind,
  shared: Uint8Array,
  ephemeral: Uint8Array,
  recipient: Uint8Array,
): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", shared, concatBytes(ephemeral, recipient), LABELS[kind], 32));
