import type { Hex } from "./bytes.ts";
import type { ControlMessage } from "./channels/control.ts";
import type { RpcMessage } from "./channels/rpc.ts";
import type { TransactionMessage } from "./channels/transaction.ts";
import type { AttemptId, BatchId, Hash, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import type { CommandResult, EnvelopeKind, ItemBytes, SignalLabel, SignalReply } from "./services.ts";

/** What the core asks of the world, as plain data. effects/ maps each to one call of a service. */
export type Effect =
  | { readonly type: "effect/createOffer"; readonly attemptId: AttemptId }
  | { readonly type: "effect/createAnswer"; readonly attemptId: AttemptId; readonly sdp: string }
  | { readonly type: "effect/applyAnswer"; readonly attemptId: AttemptId; readonly sdp: string }
  | {
      readonly type: "effect/addCandidates";
      readonly attemptId: AttemptId;
      readonly candidates: readonly string[];
    }
  | ({ readonly type: "effect/send"; readonly attemptId: AttemptId } & Outgoing)
  | { readonly type: "effect/close"; readonly attemptId: AttemptId; readonly graceful: boolean }
  | {
      readonly type: "effect/postSignal";
      readonly attemptId: AttemptId;
      readonly address: DialAddress;
      readonly envelope: Uint8Array;
    }
  | { readonly type: "effect/replySignal"; readonly requestId: RequestId; readonly reply: SignalReply }
  | {
      readonly type: "effect/openEnvelope";
      readonly attemptId: AttemptId;
      readonly kind: EnvelopeKind;
      readonly envelope: Uint8Array;
    }
  | {
      readonly type: "effect/verifySignature";
      readonly attemptId: AttemptId;
      readonly publicKey: Hex;
      readonly digest: Uint8Array;
      readonly signature: Uint8Array;
    }
  | {
      readonly type: "effect/sealSignal";
      readonly attemptId: AttemptId;
      readonly label: SignalLabel;
      readonly unsigned: Uint8Array;
      readonly prefix: Uint8Array;
      readonly recipient: Hex;
    }
  | {
      readonly type: "effect/verifyTransactions";
      readonly batchId: BatchId;
      readonly items: readonly ItemBytes[];
    }
  | {
      readonly type: "effect/loadItems";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly hashes: readonly Hash[];
    }
  | { readonly type: "effect/forgetItems"; readonly hashes: readonly Hash[] }
  | { readonly type: "effect/answerCommand"; readonly requestId: RequestId; readonly result: CommandResult };

/** A message on its channel. */
export type Outgoing =
  | { readonly channel: "control"; readonly message: ControlMessage }
  | { readonly channel: "transaction"; readonly message: TransactionMessage }
  | { readonly channel: "rpc"; readonly message: RpcMessage };
