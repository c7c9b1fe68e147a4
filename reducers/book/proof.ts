import { prove } from "../../core/address-book.ts";
import type { DialAddress } from "../../core/multiaddr.ts";
import type { StateDraft } from "../rules.ts";

/** We dialed this address and have a connection with its key, which has signed for it there. */
export function proveTarget(draft: StateDraft, address: DialAddress): void {
  // Where nobody has told of it, we are the source ourselves.
  const source = { peerId: draft.config.peerId, remoteAddress: address.host };
  const addresses = prove(draft.book.addresses, address, source, draft.timeMs);
  draft.book = { ...draft.book, addresses };
}
