import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, type Hex, toHex } from "../core/bytes.ts";
import { toPeerId } from "../core/identity.ts";
import type { PeerId } from "../core/ids.ts";

/** A key pair of a simulated party. The public key is a real one: nodes check that it is a point of the curve. */
export interface Identity {
  readonly secret: Uint8Array;
  readonly publicKey: Hex;
  readonly peerId: PeerId;
}

const made = new Map<string, Identity>();

/** The same name always has the same identity. Derived once per process: it costs more than a whole simulated dial. */
export function identityOf(name: string): Identity {
  const known = made.get(name);
  if (known !== undefined) return known;
  const secret = sha256(ascii(`simulated identity ${name}`));
  const key = ed25519.getPublicKey(secret);
  const identity = { secret, publicKey: toHex(key), peerId: toPeerId(key) };
  made.set(name, identity);
  return identity;
}
