import { sha256 } from "@noble/hashes/sha2.js";
import { type AddressBook, emptyBook } from "./address-book.ts";
import { ascii, type Hex, toHex } from "./bytes.ts";
import type { PeerId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import { SortedMap } from "./sorted-map.ts";

/** What a node knows of the addresses of others, and what it has done about them lately (7.7, Peers). */
export interface Book {
  readonly addresses: AddressBook;
  /** When each peer that was asked for addresses may be asked again. */
  readonly asked: SortedMap<PeerId, number>;
  /** IPs and address groups where an unproven address was dialed -> when the next one there may be. */
  readonly resting: SortedMap<string, number>;
  /** The peers that were kept longest when the node last ran: dialed before all others (P25). */
  readonly anchors: readonly DialAddress[];
  readonly lookedMs: number;
  /** When a peer was last tried in the place of another, or could have been for the first time. */
  readonly rotatedMs: number;
  /** So many peers that relays have named stay; what is above that was found in rotation. */
  readonly rotatedNamed: number;
}

/** The secret is derived from the seed, not drawn, so that adding the book changed no other random draw. */
export const freshBook = (seed: Hex): Book => ({
  addresses: emptyBook(toHex(sha256(ascii(`pollen/book/1 ${seed}`)))),
  asked: SortedMap.empty(),
  resting: SortedMap.empty(),
  anchors: [],
  lookedMs: 0,
  rotatedMs: 0,
  rotatedNamed: 0,
});
