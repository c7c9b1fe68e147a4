import { verify as opensslVerify, webcrypto } from "node:crypto";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { CryptoEvent } from "../core/actions.ts";
import { ascii, concatBytes, fromHex, toHex, uintBytes } from "../core/bytes.ts";
import { hash } from "../core/hash.ts";
import { isPublicKey, toPeerId } from "../core/identity.ts";
import type { AttemptId } from "../core/ids.ts";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import { createCrypto, openEnvelope, sealEnvelope } from "./crypto.ts";
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

const { Point } = ed25519;
type EdPoint = InstanceType<typeof Point>;
const L = Point.Fn.ORDER;
const P = Point.Fp.ORDER;
const attempt = (id: number): AttemptId => id as AttemptId;

/** RFC 8032, 7.1: secret, public, message, signature. */
const RFC_8032: readonly (readonly [string, string, string, string])[] = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
];

/** The eight points whose order divides 8: multiples of one of order 8. */
const TORSION: readonly EdPoint[] = (() => {
  const generator = Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
  return Array.from({ length: 8 }, (_, index) => generator.multiplyUnsafe(BigInt(index)));
})();

/** All encodings that decoders take for a point with y = `y`, if they check neither y < p nor the sign of x = 0. */
const encodings = (y: bigint): Uint8Array[] =>
  [y, y + P]
    .filter((value) => value < 2n ** 255n)
    .flatMap((value) => [uintBytes(value, 32), uintBytes(value + 2n ** 255n, 32)]);

const challenge = (r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint =>
  fromLittleEndian(sha512(concatBytes(r, a, message))) % L;

const fromLittleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);

/** Some message for which the challenge k has the wanted property: a search of a few attempts. */
function findMessage(r: Uint8Array, a: Uint8Array, wanted: (k: bigint) => boolean): [Uint8Array, bigint] {
  for (let number = 0; ; number++) {
    const message = uintBytes(number, 4);
    const k = challenge(r, a, message);
    if (wanted(k)) return [message, k];
  }
}

const signatureOf = (r: Uint8Array, s: bigint): Uint8Array => concatBytes(r, uintBytes(s, 32));
const openssl = (a: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
  opensslVerify(null, message, publicKeyOf("ed25519", a), signature);
const cofactored = (a: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
  ed25519.verify(signature, message, a, { zip215: true });

test("signature: the vectors of RFC 8032 are made and accepted, and refused after any change", async () => {
  for (const [seed, publicKey, messageHex, expected] of RFC_8032) {
    const key = secretKeyOf("ed25519", fromHex(seed));
    const message = fromHex(messageHex);
    expect(toHex(rawPublicKey(key))).toBe(publicKey);
    expect(toHex(await sign(key, message))).toBe(expected);
    expect(await verifySignature(publicKey, message, fromHex(expected))).toBe(true);
    expect(await verifySignature(publicKey, concatBytes(message, Uint8Array.of(0)), fromHex(expected))).toBe(
      false,
    );
    for (let at = 0; at < 64; at++) {
      expect(await verifySignature(publicKey, message, flip(fromHex(expected), at, 1))).toBe(false);
    }
  }
});

test("signature: a key or signature of a wrong length, or in capitals, is invalid and nothing throws", async () => {
  const [[, publicKey, , signatureHex] = ["", "", "", ""]] = RFC_8032;
  const signature = fromHex(signatureHex);
  const none = new Uint8Array();
  expect(await verifySignature(publicKey.toUpperCase(), none, signature)).toBe(false);
  expect(await verifySignature(publicKey.slice(2), none, signature)).toBe(false);
  expect(await verifySignature(`${publicKey}00`, none, signature)).toBe(false);
  expect(await verifySignature("", none, signature)).toBe(false);
  expect(await verifySignature(publicKey, none, signature.subarray(1))).toBe(false);
  expect(await verifySignature(publicKey, none, concatBytes(signature, Uint8Array.of(0)))).toBe(false);
  expect(await verifySignature(publicKey, none, none)).toBe(false);
});

test("signature: S + L is refused", async () => {
  for (const [, publicKey, messageHex, signatureHex] of RFC_8032) {
    const signature = fromHex(signatureHex);
    const s = fromLittleEndian(signature.subarray(32));
    const shifted = signatureOf(signature.subarray(0, 32), s + L);
    expect(await verifySignature(publicKey, fromHex(messageHex), shifted)).toBe(false);
  }
});

test("signature: keys of small order are refused in all their encodings, although OpenSSL accepts them", async () => {
  const s = 1234567n;
  const r = Point.BASE.multiply(s).toBytes();
  const smallOrder = TORSION.flatMap((point) => encodings(point.toAffine().y));
  // 5 values of y and both signs; y = 0 and y = 1 have a second encoding below 2^255.
  expect(new Set(smallOrder.map(toHex)).size).toBe(14);
  for (const a of smallOrder) {
    // k is a multiple of 8, so [k]A vanishes and [S]B = R + [k]A holds.
    const [message] = findMessage(r, a, (k) => k % 8n === 0n);
    expect(openssl(a, message, signatureOf(r, s))).toBe(true);
    expect(isCanonicalOfLargeOrder(a)).toBe(false);
    expect(await verifySignature(toHex(a), message, signatureOf(r, s))).toBe(false);
  }
});

test("signature: every key with y >= p is refused", () => {
  for (let y = P; y < 2n ** 255n; y++) {
    expect(isCanonicalOfLargeOrder(uintBytes(y, 32))).toBe(false);
    expect(isCanonicalOfLargeOrder(uintBytes(y + 2n ** 255n, 32))).toBe(false);
  }
  expect(isCanonicalOfLargeOrder(uintBytes(P - 2n, 32))).toBe(true);
});

test("signature: on points of the curve, the check of keys agrees with the core's", () => {
  const numbers = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
    fc.bigInt({ min: P - 40n, max: P + 18n }),
    fc.bigInt({ min: 0n, max: 40n }),
  );
  fc.assert(
    fc.property(numbers, (number) => {
      const key = uintBytes(number, 32);
      if (isPublicKey(toHex(key))) expect(isCanonicalOfLargeOrder(key)).toBe(true);
      else if (isOnCurve(key)) expect(isCanonicalOfLargeOrder(key)).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test("signature: a key that is no point of the curve is invalid", async () => {
  const key = uintBytes(2n, 32);
  expect(isOnCurve(key)).toBe(false);
  expect(await verifySignature(toHex(key), new Uint8Array(), new Uint8Array(64))).toBe(false);
});

test("signature: R may be of small order, but its encoding must be canonical", async () => {
  const secret = 99_991n;
  const a = Point.BASE.multiply(secret).toBytes();
  for (const r of encodings(1n)) {
    // R is the neutral element in each of these encodings, so S = k a solves the equation.
    const k = challenge(r, a, ascii("neutral"));
    const signature = signatureOf(r, (k * secret) % L);
    const isCanonical = toHex(r) === toHex(uintBytes(1n, 32));
    expect(await verifySignature(toHex(a), ascii("neutral"), signature)).toBe(isCanonical);
  }
});

test("signature: with a key of mixed order, the equation without the cofactor decides", async () => {
  const [secret, nonce] = [777_777n, 424_243n];
  const r = Point.BASE.multiply(nonce).toBytes();
  for (const torsion of TORSION.slice(1)) {
    const a = Point.BASE.multiply(secret).add(torsion).toBytes();
    expect(isPublicKey(toHex(a))).toBe(true);
    for (const vanishes of [true, false]) {
      const [message, k] = findMessage(r, a, (k) => torsion.multiplyUnsafe(k % 8n).is0() === vanishes);
      const signature = signatureOf(r, (nonce + k * secret) % L);
      expect(cofactored(a, message, signature)).toBe(true);
      expect(await verifySignature(toHex(a), message, signature)).toBe(vanishes);
    }
  }
});

test("signature: with R of mixed order, the equation without the cofactor decides", async () => {
  const [secret, nonce] = [777_777n, 424_243n];
  for (const torsion of TORSION.slice(1)) {
    const r = Point.BASE.multiply(nonce).add(torsion).toBytes();
    const pure = Point.BASE.multiply(secret).toBytes();
    const k = challenge(r, pure, ascii("mixed"));
    const signature = signatureOf(r, (nonce + k * secret) % L);
    expect(cofactored(pure, ascii("mixed"), signature)).toBe(true);
    expect(await verifySignature(toHex(pure), ascii("mixed"), signature)).toBe(false);

    // The torsion of R cancels that of [k]A: valid in spite of both.
    const mixed = Point.BASE.multiply(secret).add(torsion).toBytes();
    const [message, cancelling] = findMessage(r, mixed, (k) => torsion.multiplyUnsafe((k + 1n) % 8n).is0());
    const balanced = signatureOf(r, (nonce + cancelling * secret) % L);
    expect(await verifySignature(toHex(mixed), message, balanced)).toBe(true);
  }
});

const ALICE = fromHex(RFC_8032[0]?.[0] ?? "");
const BOB = fromHex(RFC_8032[1]?.[0] ?? "");
const bob = secretKeyOf("ed25519", BOB);
const bobPublic = rawPublicKey(bob);
const openAsBob = (kind: "offer" | "answer", envelope: Uint8Array): Uint8Array | null =>
  openEnvelope(kind, toX25519Secret(bob), bobPublic, envelope);

const PINNED = {
  ephemeralSecret: Uint8Array.from({ length: 32 }, (_, index) => index),
  nonce: Uint8Array.from({ length: 12 }, (_, index) => 0xa0 + index),
};
const GOLDEN =
  "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285fa0a1a2a3a4a5a6a7a8a9aaab240000001b98f733f9b10dfe2bbfbc4b45a76ba9ec0c9e1e92e111a292ba107dd1f93fd5874d1c59";

test("envelope: with fixed keys, ephemeral key and nonce it is this one, and opens", () => {
  const envelope = sealEnvelope("offer", bobPublic, ascii("pollen golden vector"), PINNED);
  expect(toHex(envelope)).toBe(GOLDEN);
  expect(openAsBob("offer", envelope)).toEqual(ascii("pollen golden vector"));
});

test("envelope: other libraries open the golden one as section 3 describes it", async () => {
  const bytes = fromHex(GOLDEN);
  const [ephemeral, nonce, length] = [bytes.slice(0, 32), bytes.slice(32, 44), bytes.slice(44, 48)];
  expect(length).toEqual(uintBytes(bytes.length - 48, 4));
  const secret = sha512(BOB).subarray(0, 32);
  const shared = x25519.getSharedSecret(secret, ephemeral);
  const key = hkdf(sha256, shared, concatBytes(ephemeral, bobPublic), ascii("pollen/offer/1"), 32);
  const aes = await webcrypto.subtle.importKey("raw", Uint8Array.from(key), "AES-GCM", false, ["decrypt"]);
  const parameters = { name: "AES-GCM", iv: nonce, additionalData: Uint8Array.from(ascii("pollen/offer/1")) };
  const plaintext = await webcrypto.subtle.decrypt(parameters, aes, bytes.slice(48));
  expect(new Uint8Array(plaintext)).toEqual(ascii("pollen golden vector"));
});

test("envelope: every plaintext up to the bound comes back, and two envelopes of one are unlike", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (plaintext) => {
      expect(openAsBob("answer", sealEnvelope("answer", bobPublic, plaintext))).toEqual(plaintext);
    }),
    { numRuns: 30 },
  );
  const longest = new Uint8Array(16_320).fill(7);
  const envelope = sealEnvelope("offer", bobPublic, longest);
  expect(envelope.length).toBe(ENVELOPE_BYTES_MAX);
  expect(openAsBob("offer", envelope)).toEqual(longest);
  expect(toHex(sealEnvelope("offer", bobPublic, longest))).not.toBe(toHex(envelope));
  expect(() => sealEnvelope("offer", bobPublic, new Uint8Array(16_321))).toThrow("within its bound");
});

test("envelope: whatever is flipped, cut off or appended, it no longer opens", () => {
  const plaintexts = fc.uint8Array({ maxLength: 64 });
  fc.assert(
    fc.property(plaintexts, fc.nat(), fc.integer({ min: 1, max: 255 }), (plaintext, position, mask) => {
      const envelope = sealEnvelope("offer", bobPublic, plaintext);
      const at = position % envelope.length;
      expect(openAsBob("offer", flip(envelope, at, mask))).toBeNull();
      expect(openAsBob("offer", envelope.subarray(0, at))).toBeNull();
      expect(openAsBob("offer", concatBytes(envelope, Uint8Array.of(mask)))).toBeNull();
    }),
    { numRuns: 100 },
  );
});

test("envelope: every single byte of the golden one matters", () => {
  const envelope = fromHex(GOLDEN);
  for (let at = 0; at < envelope.length; at++) {
    expect(openAsBob("offer", flip(envelope, at, 1 << (at & 7)))).toBeNull();
  }
  // RFC 7748 ignores the highest bit of a point; the salt does not.
  expect(openAsBob("offer", flip(envelope, 31, 0x80))).toBeNull();
});

test("envelope: arbitrary bytes do not open", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(openAsBob("offer", bytes)).toBeNull();
    }),
  );
  expect(openAsBob("offer", new Uint8Array(ENVELOPE_BYTES_MAX + 1))).toBeNull();
});

test("envelope: it opens for its recipient and its direction only", () => {
  const envelope = sealEnvelope("offer", bobPublic, ascii("for bob"));
  const alice = secretKeyOf("ed25519", ALICE);
  expect(openAsBob("offer", envelope)).toEqual(ascii("for bob"));
  expect(openAsBob("answer", envelope)).toBeNull();
  expect(openEnvelope("offer", toX25519Secret(alice), rawPublicKey(alice), envelope)).toBeNull();
  // The salt binds the ed25519 key itself, not only what X25519 makes of it.
  expect(openEnvelope("offer", toX25519Secret(bob), rawPublicKey(alice), envelope)).toBeNull();
});

test("envelope: an ephemeral key of small order is refused although its sealed text is right", async () => {
  // 0, 1, p - 1, the two of order 8, and the non-canonical p and p + 1: all lead to the all-zero secret.
  const u8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
  const other8 = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
  const lowOrder = [...[0n, 1n, P - 1n, P, P + 1n].map((u) => toHex(uintBytes(u, 32))), u8, other8];
  for (const ephemeral of lowOrder.map(fromHex)) {
    const zero = new Uint8Array(32);
    const key = hkdf(sha256, zero, concatBytes(ephemeral, bobPublic), ascii("pollen/offer/1"), 32);
    const aes = await webcrypto.subtle.importKey("raw", Uint8Array.from(key), "AES-GCM", false, ["encrypt"]);
    const additionalData = Uint8Array.from(ascii("pollen/offer/1"));
    const parameters = { name: "AES-GCM", iv: new Uint8Array(12), additionalData };
    const ciphertext = new Uint8Array(await webcrypto.subtle.encrypt(parameters, aes, new Uint8Array(8)));
    const head = concatBytes(ephemeral, new Uint8Array(12), uintBytes(ciphertext.length, 4));
    expect(openAsBob("offer", concatBytes(head, ciphertext))).toBeNull();
  }
});

test("envelope: both halves of a key are converted to the same X25519 key", () => {
  for (const [seed, publicKey] of RFC_8032) {
    const secret = toX25519Secret(secretKeyOf("ed25519", fromHex(seed)));
    expect(toHex(rawPublicKey(secret))).toBe(toHex(rawPublicKey(toX25519Public(fromHex(publicKey)))));
  }
});

/** The service with the events it has emitted, and a promise of the next ones. */
function recordedCrypto(seed: Uint8Array) {
  const events: CryptoEvent[] = [];
  let wake = (): void => {};
  const crypto = createCrypto({
    secretKey: seed,
    emit: (event) => {
      events.push(event);
      wake();
    },
  });
  const until = async (count: number): Promise<readonly CryptoEvent[]> => {
    while (events.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return events;
  };
  return { crypto, events, until };
}

test("crypto: a sealed offer is opened and its signature accepted by the other side", async () => {
  const [a, b] = [recordedCrypto(ALICE), recordedCrypto(BOB)];
  const unsigned = ascii("the offer without its signature");
  a.crypto.seal(attempt(1), "pollen/offer/1", unsigned, new Uint8Array(), b.crypto.publicKeyHex);
  expect(a.events).toEqual([]);
  const [sealed] = await a.until(1);
  if (sealed?.type !== "event/signalSealed") throw new Error("not sealed");
  expect(sealed.attemptId).toBe(1);
  expect(sealed.signed.subarray(0, -64)).toEqual(unsigned);

  b.crypto.open(attempt(2), "offer", sealed.envelope);
  expect(b.events).toEqual([]);
  const plaintext = sealed.signed;
  expect(await b.until(1)).toEqual([{ type: "event/envelopeOpened", attemptId: 2, plaintext }]);

  const signature = sealed.signed.subarray(-64);
  const digest = hash("pollen/offer/1", unsigned);
  b.crypto.verify(attempt(2), a.crypto.publicKeyHex, digest, signature);
  b.crypto.verify(attempt(3), b.crypto.publicKeyHex, digest, signature);
  expect(b.events.length).toBe(1);
  const checked = (await b.until(3)).slice(1);
  expect(checked).toContainEqual({ type: "event/signatureChecked", attemptId: 2, valid: true });
  expect(checked).toContainEqual({ type: "event/signatureChecked", attemptId: 3, valid: false });
});

test("crypto: replies of either kind are sealed as answers, behind their tag", async () => {
  const [a, b] = [recordedCrypto(ALICE), recordedCrypto(BOB)];
  for (const [index, label] of (["pollen/answer/1", "pollen/reject/1"] as const).entries()) {
    b.crypto.seal(attempt(index), label, ascii("reply"), Uint8Array.of(index), a.crypto.publicKeyHex);
    const sealed = (await b.until(index + 1))[index];
    if (sealed?.type !== "event/signalSealed") throw new Error("not sealed");
    a.crypto.open(attempt(index), "answer", sealed.envelope);
    const plaintext = concatBytes(Uint8Array.of(index), sealed.signed);
    expect((await a.until(index + 1))[index]).toEqual({
      type: "event/envelopeOpened",
      attemptId: index,
      plaintext,
    });
    const digest = hash(label, ascii("reply"));
    expect(await verifySignature(b.crypto.publicKeyHex, digest, sealed.signed.subarray(-64))).toBe(true);
  }
});

test("crypto: what does not open is reported as null", async () => {
  const { crypto, until } = recordedCrypto(ALICE);
  crypto.open(attempt(7), "offer", Uint8Array.of(1, 2, 3));
  expect(await until(1)).toEqual([{ type: "event/envelopeOpened", attemptId: 7, plaintext: null }]);
});

test("crypto: sealing for what is no key of large order is a bug of the caller, shown at once", () => {
  const { crypto } = recordedCrypto(ALICE);
  const seal = (recipient: Uint8Array) => (): void =>
    crypto.seal(attempt(1), "pollen/offer/1", ascii("offer"), new Uint8Array(), toHex(recipient));
  for (const point of TORSION) expect(seal(point.toBytes())).toThrow("large order");
  expect(seal(uintBytes(2n, 32))).toThrow();
  expect(seal(uintBytes(P + 3n, 32))).toThrow("canonical");
});

test("crypto: a seed and its key object are the same identity", () => {
  const fromSeed = createCrypto({ secretKey: ALICE, emit: () => {} });
  const fromKey = createCrypto({ secretKey: secretKeyOf("ed25519", ALICE), emit: () => {} });
  expect(fromSeed.publicKeyHex).toBe(RFC_8032[0]?.[1]);
  expect(fromKey.publicKeyHex).toBe(fromSeed.publicKeyHex);
  expect(fromKey.peerId).toBe(toPeerId(fromHex(fromSeed.publicKeyHex)));
});

function flip(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ mask;
  return flipped;
}

function isOnCurve(key: Uint8Array): boolean {
  try {
    Point.fromBytes(key, true);
    return true;
  } catch {
    return false;
  }
}
