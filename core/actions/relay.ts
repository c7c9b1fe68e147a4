import type { DiscoveryMessage } from "../channels/discovery.ts";
import type { ExchangeMessage } from "../channels/exchange.ts";
import type { AttemptId, PeerId } from "../ids.ts";

/** 7.1 and 7.2: offers and answers by way of a common peer. */
export type RelayAction =
  | { readonly type: "discovery/receive"; readonly peerId: PeerId; readonly message: DiscoveryMessage }
  /** As dialer: uses the permits of relays while peers are lacking. */
  | { readonly type: "discovery/seek" }
  /** As dialer: uses one permit although no peer is lacking. */
  | { readonly type: "discovery/rotate" }
  /** As dialer: the relay has not answered. */
  | { readonly type: "discovery/silent"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  /** As dialer: the offer to the peer that this relay has named will not be made. */
  | { readonly type: "discovery/withdraw"; readonly peerId: PeerId; readonly offering: AttemptId }
  /** As relay. */
  | { readonly type: "discovery/givePermit"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  /** As relay: the flow has taken too long. */
  | { readonly type: "discovery/expire"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  | { readonly type: "exchange/receive"; readonly peerId: PeerId; readonly message: ExchangeMessage }
  /** As listener: to some peers in random turn, as the bucket allows. */
  | { readonly type: "exchange/givePermits" }
  /** As listener: a permit is too old, first for the relay, then for good. */
  | { readonly type: "exchange/lapse"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  | {
      /** As listener: what became of an offer that this relay has brought; null: there is no reply. */
      readonly type: "exchange/answer";
      readonly peerId: PeerId;
      readonly answering: AttemptId;
      readonly reply: Uint8Array | null;
    }
  /** As listener: the offer has not been answered in time. */
  | { readonly type: "exchange/expire"; readonly peerId: PeerId; readonly attemptId: AttemptId };
