import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, concatBytes, equalBytes, fromHex, type Hex, uintBytes } from "../core/bytes.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { hash } from "../core/hash.ts";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import type { Crypto, EnvelopeKind, SignalLabel } from "../core/services.ts";
import { envelopeSchema, SIGNATURE_BYTES } from "../core/signals.ts";
import type { Give, Later } from "./sim-host.ts";
import type { Identity } from "./sim-identity.ts";
import { createRandom } from "./sim-random.ts";

/**
 * Cryptography that is a thousand times cheaper than the real one and as strong within the simulation: the secrets
 * of all parties are known to the vault alone, and without one nobody signs as that party or opens what is for it.
 */
export interface Vault {
  readonly sign: (signer: Identity, digest: Uint8Array) => Uint8Array;
  readonly verify: (publicKey: Hex, digest: Uint8Array, signature: Uint8Array) => boolean;
  readonly seal: (kind: EnvelopeKind, recipient: Hex, plaintext: Uint8Array) => Uint8Array;
  readonly open: (kind: EnvelopeKind, recipient: Identity, envelope: Uint8Array) => Uint8Array | null;
}

const MAC_BYTES = 16;

/** @param secretOf the secret of a public key of this simulation; of others there is none */
export function createVault(secretOf: (publicKey: Hex) => Uint8Array | undefined): Vault {
  let sealed = 0;
  const sign = (secret: Uint8Array, digest: Uint8Array): Uint8Array =>
    concatBytes(sha256(concatBytes(secret, digest)), new Uint8Array(SIGNATURE_BYTES - 32));
  return {
    sign: ({ secret }, digest) => sign(secret, digest),
    verify: (publicKey, digest, signature) => {
      const secret = secretOf(publicKey);
      return secret !== undefined && equalBytes(sign(secret, digest), signature);
    },
    seal: (kind, recipient, plaintext) => {
      const secret = secretOf(recipient) ?? ascii(`nobody has ${recipient}`);
      const nonce = uintBytes(sealed++, 12);
      return encode(envelopeSchema, {
        ephemeral: fromHex(recipient),
        nonce,
        ciphertext: concatBytes(masked(secret, nonce, plaintext), macOf(secret, nonce, kind, plaintext)),
      });
    },
    open: (kind, { secret, publicKey }, envelope) => {
      const decoded = decode(envelopeSchema, envelope, ENVELOPE_BYTES_MAX);
      if (decoded.tag === "failed") return null;
      const { ephemeral, nonce, ciphertext } = decoded.value;
      if (!equalBytes(ephemeral, fromHex(publicKey)) || ciphertext.length < MAC_BYTES) return null;
      const plaintext = masked(secret, nonce, ciphertext.subarray(0, -MAC_BYTES));
      const mac = macOf(secret, nonce, kind, plaintext);
      return equalBytes(mac, ciphertext.subarray(-MAC_BYTES)) ? plaintext : null;
    },
  };
}

/** The Crypto service of one node. Delays are drawn anew for each operation: they overtake each other. */
export function createCrypto(identity: Identity, vault: Vault, later: Later, give: Give): Crypto {
  return {
    open: (attemptId, kind, envelope) => {
      const plaintext = vault.open(kind, identity, envelope);
      later(() => give({ type: "event/envelopeOpened", attemptId, plaintext }));
    },
    verify: (attemptId, publicKey, digest, signature) => {
      const valid = vault.verify(publicKey, digest, signature);
      later(() => give({ type: "event/signatureChecked", attemptId, valid }));
    },
    seal: (attemptId, label, unsigned, prefix, recipient) => {
      const signed = signSignal(vault, identity, label, unsigned);
      const kind = label === "pollen/offer/1" ? "offer" : "answer";
      const envelope = vault.seal(kind, recipient, concatBytes(prefix, signed));
      later(() => give({ type: "event/signalSealed", attemptId, signed, envelope }));
    },
  };
}

export const signSignal = (
  vault: Vault,
  signer: Identity,
  label: SignalLabel,
  unsigned: Uint8Array,
): Uint8Array => concatBytes(unsigned, vault.sign(signer, hash(label, unsigned)));

function macOf(secret: Uint8Array, nonce: Uint8Array, kind: EnvelopeKind, plaintext: Uint8Array): Uint8Array {
  return sha256(concatBytes(secret, nonce, ascii(kind), plaintext)).subarray(0, MAC_BYTES);
}

/** The same operation hides and reveals. */
function masked(secret: Uint8Array, nonce: Uint8Array, text: Uint8Array): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0] = sha256(concatBytes(secret, nonce));
  const stream = createRandom((a << 24) | (b << 16) | (c << 8) | d);
  return text.map((byte) => byte ^ stream.int(256));
}
