import type { RpcRequest, RpcResponse } from "../channels/rpc.ts";
import type { Hash, PeerId } from "../ids.ts";

/** 7.3: from an announced tip to an adopted one. */
export type SyncAction =
  | {
      /** What came of a request with purpose `sync`: null if nothing did, in time or at all. */
      readonly type: "sync/answered";
      readonly peerId: PeerId;
      readonly request: RpcRequest;
      readonly response: RpcResponse | null;
    }
  /** The ledger of this root is here, every chunk verified. */
  | { readonly type: "sync/snapshotFetched"; readonly root: Hash }
  /** No peer has served it to its end. */
  | { readonly type: "sync/snapshotFailed"; readonly root: Hash }
  /** The connection with this peer has ended. */
  | { readonly type: "sync/peerLeft"; readonly peerId: PeerId }
  /** A header came from this peer, better than its last one. */
  | { readonly type: "sync/weigh"; readonly peerId: PeerId }
  /** If nothing is pursued, or what is pursued is stalled: the best announced tip is. */
  | { readonly type: "sync/consider" }
  /** The pools have got an item; it may be what a block lacks. */
  | { readonly type: "sync/noteKept"; readonly hash: Hash }
  /** What the pursued tip lacks is asked for. */
  | { readonly type: "sync/proceed" }
  /** The pursued tip cannot be had now: it is tried again later. */
  | { readonly type: "sync/giveUp"; readonly hash: Hash; readonly detail: string }
  /** A block breaks the rules of the chain: all who announced it, or what builds on it, are to blame. */
  | { readonly type: "sync/condemn"; readonly hash: Hash; readonly detail: string }
  /** A tip that was given up may be tried again. */
  | { readonly type: "sync/retry"; readonly hash: Hash };
