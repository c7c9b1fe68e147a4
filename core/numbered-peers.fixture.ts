import { toPeerId } from "./identity.ts";
import type { PeerId } from "./ids.ts";

const known = new Map<number, PeerId>();

/** The peer whose key is this number: for tests that need many, none of which ever signs. */
export function numberedPeer(number: number): PeerId {
  const found = known.get(number);
  if (found !== undefined) return found;
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, number);
  const made = toPeerId(key);
  known.set(number, made);
  return made;
}
