import type { RpcRequest, RpcResponse } from "../channels/rpc.ts";
import type { AttemptId, PeerId } from "../ids.ts";
import type { PoolName } from "../pools.ts";

/** 7.7, Reconcile */
export type ReconcileAction =
  | {
      /** What came of a request with purpose `reconcile`: null if nothing did. */
      readonly type: "reconcile/answered";
      readonly peerId: PeerId;
      readonly request: RpcRequest;
      readonly response: RpcResponse | null;
    }
  | {
      /** The permit is not withheld any longer. */
      readonly type: "reconcile/expire";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
    };
