import type { RpcRequest, RpcResponse } from "../channels/rpc.ts";
import type { AttemptId, PeerId } from "../ids.ts";

/** 7.7, Peers: addresses of others, where they come from and when they are dialed. */
export type BookAction =
  /** Dials one address if peers are lacking, and asks for more if there is none. */
  | { readonly type: "book/look" }
  /** An address was found to be right, or one is claimed. */
  | { readonly type: "book/peerReady"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  | { readonly type: "book/ask"; readonly peerId: PeerId }
  | {
      /** What came of a request with purpose `book`: null if nothing did. */
      readonly type: "book/answered";
      readonly peerId: PeerId;
      readonly request: RpcRequest;
      readonly response: RpcResponse | null;
    }
  /** A peer that has dialed us claims an address: is it found there? */
  | { readonly type: "book/verify"; readonly peerId: PeerId; readonly attemptId: AttemptId };
