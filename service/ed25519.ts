import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { assert } from "../core/assert.ts";
import { concatBytes, fromHex, type Hex, isHex, toHex } from "../core/bytes.ts";
import { SIGNATURE_BYTES } from "../core/signals.ts";

export const KEY_BYTES = 32;

export type Curve = "ed25519" | "x25519";

/**
 * True exactly for the signatures that section 3 of the protocol calls valid; never rejects.
 *
 * OpenSSL requires S < L and computes [S]B - [k]A without the cofactor. It compares the *encoding* of that point
 * with R byte by byte, and as it encodes canonically, a non-canonical R never matches: that R is canonical
 * follows. What it leaves open, and what is therefore checked here first, is the encoding and the order of A.
 */
export function verifySignature(
  publicKey: Hex,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (!isHex(publicKey, KEY_BYTES) || signature.length !== SIGNATURE_BYTES) return Promise.resolve(false);
  const raw = fromHex(publicKey);
  if (!isCanonicalOfLargeOrder(raw)) return Promise.resolve(false);
  // With a callback the work is done in the thread pool; the inputs are copied before the call returns.
  return new Promise((resolve) => {
    verifyBytes(null, message, publicKeyOf("ed25519", raw), signature, (error, valid) =>
      resolve(error === null && valid),
    );
  });
}

/** The 64-byte ed25519 signature, computed in the thread pool. */
export function sign(secretKey: KeyObject, message: Uint8Array): Promise<Uint8Array> {
  assert(secretKey.asymmetricKeyType === "ed25519", "a signing key is an ed25519 key");
  return new Promise((resolve, reject) => {
    signBytes(null, message, secretKey, (error, signature) =>
      error === null ? resolve(Uint8Array.from(signature)) : reject(error),
    );
  });
}

/**
 * The part of the rule about A that OpenSSL does not check: y < p, and A not of small order. Whether y belongs to
 * a point at all is left to OpenSSL, which refuses all signatures of one that does not. The other non-canonical
 * encoding, x = 0 with a sign, exists for y = 1 and y = -1 only, and both are of small order.
 */
export function isCanonicalOfLargeOrder(publicKey: Uint8Array): boolean {
  const y = Uint8Array.from(publicKey);
  y[31] = (y[31] ?? 0) & 0x7f;
  return publicKey.length === KEY_BYTES && isBelowPrime(y) && !SMALL_ORDER_Y.has(toHex(y));
}

/** Little-endian y of the eight points whose order divides 8; those of order 4 and 8 share theirs with their negatives. */
const SMALL_ORDER_Y: ReadonlySet<Hex> = new Set([
  "0100000000000000000000000000000000000000000000000000000000000000", // 1: the neutral element
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // -1: order 2
  "0000000000000000000000000000000000000000000000000000000000000000", // 0: order 4
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
]);

/** p = 2^255 - 19 is ed ff ... ff 7f in little-endian bytes. */
const isBelowPrime = (y: Uint8Array): boolean =>
  (y[0] ?? 0) < 0xed || y[31] !== 0x7f || y.subarray(1, 31).some((byte) => byte !== 0xff);

/** The raw 32 bytes of a public key, or of the public half of a secret key. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  const { x } = (key.type === "private" ? createPublicKey(key) : key).export({ format: "jwk" });
  return decodeKeyText(x);
}

export const publicKeyOf = (curve: Curve, raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(concatBytes(DER[curve].spki, raw)), format: "der", type: "spki" });

export const secretKeyOf = (curve: Curve, seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(concatBytes(DER[curve].pkcs8, seed)), format: "der", type: "pkcs8" });

/**
 * The X25519 key of an ed25519 public key, by the birational map u = (1 + y) / (1 - y).
 * @throws for bytes that are not the canonical encoding of a point of the curve
 */
export const toX25519Public = (publicKey: Uint8Array): KeyObject =>
  publicKeyOf("x25519", ed25519.utils.toMontgomery(publicKey));

/** The X25519 secret of an ed25519 secret key: clamped SHA-512(seed)[0..32]. */
export function toX25519Secret(secretKey: KeyObject): KeyObject {
  const { d } = secretKey.export({ format: "jwk" });
  return secretKeyOf("x25519", ed25519.utils.toMontgomerySecret(decodeKeyText(d)));
}

/** Everything that stands before the 32 raw bytes in the DER of RFC 8410; the curves differ in their last OID byte. */
const DER: Readonly<Record<Curve, { readonly spki: Uint8Array; readonly pkcs8: Uint8Array }>> = {
  ed25519: { spki: fromHex("302a300506032b6570032100"), pkcs8: fromHex("302e020100300506032b657004220420") },
  x25519: { spki: fromHex("302a300506032b656e032100"), pkcs8: fromHex("302e020100300506032b656e04220420") },
};

function decodeKeyText(text: string | undefined): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(text ?? "", "base64url"));
  assert(bytes.length === KEY_BYTES, "keys of both curves are 32 bytes long");
  return bytes;
}
