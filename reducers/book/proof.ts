import { confirm, prove } from "../../core/address-book.ts";
import type { DialAddress } from "../../core/multiaddr.ts";
import type { StateDraft } from "../rules.ts";

/**
 * We dialed this address and have a connection with its key, which has signed for it there.
 * @param isChoice we dialed to be connected, not to see whether a claim is right
 */
export function proveTarget(draft: StateDraft, address: DialAddress, isChoice = true): void {
  // Where nobody has told of it, we are the source ourselves.
  const source = { peerId: draft.config.peerId, remoteAddress: address.host };
  const addresses = (isChoice ? prove : confirm)(draft.book.addresses, address, source, draft.timeMs);
  draft.book = { ...draft.book, addresses };
}
