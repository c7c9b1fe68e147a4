import { ed25519 } from "@noble/curves/ed25519.js";
import { base58 } from "@scure/base";
import { concatBytes, fromHex, type Hex, toHex } from "./bytes.ts";
import type { PeerId } from "./ids.ts";
import { CHECKED_KEYS_MAX } from "./limits.ts";

/** Identity multihash of a libp2p PublicKey protobuf with an ed25519 key: what every `12D3KooW...` starts with. */
const PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
const PUBLIC_KEY_BYTES = 32;
/** 38 bytes in base58 are 52 characters for this prefix. */
const PEER_ID_CHARACTERS = 52;

/** @param publicKey raw 32-byte ed25519 key */
export const toPeerId = (publicKey: Uint8Array): PeerId =>
  base58.encode(concatBytes(PREFIX, publicKey)) as PeerId;

export const hexToPeerId = (publicKey: Hex): PeerId => toPeerId(fromHex(publicKey));

/** The peer id in a text, or undefined if the text is not the libp2p peer id of an ed25519 key. */
export function parsePeerId(text: string): PeerId | undefined {
  if (text.length !== PEER_ID_CHARACTERS || !/^[1-9A-HJ-NP-Za-km-z]+$/.test(text)) return undefined;
  const bytes = base58.decode(text);
  const isEd25519 =
    bytes.length === PREFIX.length + PUBLIC_KEY_BYTES && PREFIX.every((byte, at) => bytes[at] === byte);
  return isEd25519 ? (text as PeerId) : undefined;
}

export const peerPublicKey = (peerId: PeerId): Hex => toHex(base58.decode(peerId).subarray(PREFIX.length));

/** True for the canonical encoding of a point of the curve that is not of small order (section 3). */
export function isPublicKey(publicKey: Hex): boolean {
  const known = checked.get(publicKey);
  if (known !== undefined) return known;
  const isOne = isPoint(publicKey);
  if (checked.size >= CHECKED_KEYS_MAX) checked.clear();
  checked.set(publicKey, isOne);
  return isOne;
}

/**
 * A cache: the check takes as long as handling ten messages, and the same keys come with every offer and every address.
 * The functions stay pure, since the answer for a key never changes.
 */
const checked = new Map<Hex, boolean>();

function isPoint(publicKey: Hex): boolean {
  try {
    return !ed25519.Point.fromBytes(fromHex(publicKey)).isSmallOrder();
  } catch {
    return false;
  }
}
