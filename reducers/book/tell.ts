import { isTellable, sample } from "../../core/address-book.ts";
import type { RpcResponse } from "../../core/channels/rpc.ts";
import type { PeerId } from "../../core/ids.ts";
import { PEERS_ANSWER_MAX } from "../../core/limits.ts";
import { formatMultiaddr } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import type { StateDraft } from "../rules.ts";
import { livePeer } from "../state.ts";

/** What others are told: a random sample of what we have found to be right ourselves (P17). */
export function answerPeers(draft: StateDraft, peerId: PeerId): RpcResponse {
  const remoteAddress = remoteAddressOf(draft, peerId);
  const addresses = sample(
    draft.book.addresses,
    draft,
    PEERS_ANSWER_MAX,
    ({ address }) => address.peerId !== peerId && isTellable(address, remoteAddress),
  );
  if (addresses.length === 0) return { tag: "notFound" };
  return { tag: "peers", addresses: addresses.map(formatMultiaddr) };
}

/** Where a live peer is reached; "" if the transport did not say. */
export function remoteAddressOf(state: State, peerId: PeerId): string {
  const live = livePeer(state, peerId);
  return live === undefined ? "" : (state.attempts.get(live.attemptId)?.selected?.address ?? "");
}
