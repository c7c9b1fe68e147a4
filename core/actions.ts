import type { Hex } from "./bytes.ts";
import type { TransactionInfo, TransactionVerdict } from "./chain.ts";
import type { ControlMessage } from "./channels/control.ts";
import type { RpcMessage, RpcRequest, RpcResponse } from "./channels/rpc.ts";
import type { ChannelName } from "./channels/table.ts";
import type { TransactionMessage } from "./channels/transaction.ts";
import type { AttemptId, BatchId, Hash, PeerId, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import type { Reason, Rejection } from "./reasons.ts";
import type { ItemBytes, SignalOutcome } from "./services.ts";

/** Everything that changes the state. */
export type Action =
  | Input
  | SignalAction
  | ConnectionAction
  | ControlAction
  | TransactionAction
  | FetchAction
  | RpcAction;

/** Everything that reaches the core from outside: the only things that are recorded (kernel contract 1 and 5). */
export type Input = Event | Command | Tick;

/** Time has passed: what is due by `nextDeadline` is proposed. */
export interface Tick {
  readonly type: "tick";
}

export type Event = TransportEvent | SignalingEvent | CryptoEvent | ChainEvent;

export type TransportEvent =
  | { readonly type: "event/localDescription"; readonly attemptId: AttemptId; readonly sdp: string }
  | {
      /** The transport is up and DTLS has verified the peer's certificate. */
      readonly type: "event/connected";
      readonly attemptId: AttemptId;
      /** SHA-256 of the certificate the peer presented, lowercase, without colons. */
      readonly fingerprint: Hex;
      readonly remoteAddress: string;
    }
  | { readonly type: "event/channelOpened"; readonly attemptId: AttemptId; readonly channel: ChannelName }
  | {
      readonly type: "event/message";
      readonly attemptId: AttemptId;
      readonly channel: ChannelName;
      readonly bytes: Uint8Array;
    }
  | { readonly type: "event/textReceived"; readonly attemptId: AttemptId; readonly channel: ChannelName }
  | { readonly type: "event/channelBlocked"; readonly attemptId: AttemptId; readonly channel: ChannelName }
  | { readonly type: "event/channelDrained"; readonly attemptId: AttemptId; readonly channel: ChannelName }
  | {
      readonly type: "event/connectionClosed";
      readonly attemptId: AttemptId;
      /** What failed, for the log; null for an ordinary close by either side. */
      readonly error: string | null;
    };

export type SignalingEvent =
  | {
      readonly type: "event/signalReceived";
      readonly requestId: RequestId;
      /** IP literal of the client. */
      readonly remoteAddress: string;
      readonly envelope: Uint8Array;
    }
  | { readonly type: "event/signalAnswered"; readonly attemptId: AttemptId; readonly outcome: SignalOutcome };

export type CryptoEvent =
  | {
      readonly type: "event/envelopeOpened";
      readonly attemptId: AttemptId;
      readonly plaintext: Uint8Array | null;
    }
  | { readonly type: "event/signatureChecked"; readonly attemptId: AttemptId; readonly valid: boolean }
  | {
      readonly type: "event/signalSealed";
      readonly attemptId: AttemptId;
      /** The signal with its signature, without the tag of a Reply. */
      readonly signed: Uint8Array;
      readonly envelope: Uint8Array;
    };

export type ChainEvent =
  | {
      readonly type: "event/transactionsVerified";
      readonly batchId: BatchId;
      readonly verdicts: readonly TransactionVerdict[];
    }
  | {
      readonly type: "event/itemsLoaded";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly items: readonly (Uint8Array | null)[];
    };

/** Wishes of the operator. Those with a request id are answered by exactly one `operator.answer`. */
export type Command =
  | { readonly type: "command/dial"; readonly requestId: RequestId; readonly address: DialAddress }
  | { readonly type: "command/disconnect"; readonly requestId: RequestId; readonly peerId: PeerId }
  | {
      readonly type: "command/submitTransaction";
      readonly requestId: RequestId;
      readonly bytes: Uint8Array;
    }
  | { readonly type: "command/stop" };

/** Section 3: dialing and admission, until a connection object exists. */
export type SignalAction =
  | { readonly type: "dial/start"; readonly address: string }
  | {
      /** The attempt ends before it was ready; what it held is released and the address backs off. */
      readonly type: "attempt/fail";
      readonly attemptId: AttemptId;
      readonly detail: string;
      /** Why the listener refused, if it did. */
      readonly rejection: Rejection | null;
      readonly retryAfterMs: number;
    }
  | { readonly type: "attempt/expire"; readonly attemptId: AttemptId }
  | { readonly type: "admission/accept"; readonly attemptId: AttemptId }
  | {
      readonly type: "admission/reject";
      readonly attemptId: AttemptId;
      readonly to: Hex;
      readonly rejection: Rejection;
      readonly retryAfterMs: number;
    }
  | { readonly type: "admission/endProbe"; readonly attemptId: AttemptId; readonly answered: boolean }
  | { readonly type: "admission/forgetReplay"; readonly key: string }
  | { readonly type: "admission/addCandidates"; readonly attemptId: AttemptId };

/** Section 4: from open channels to ready, and every way in which a connection ends. */
export type ConnectionAction =
  | { readonly type: "connection/checkReady"; readonly attemptId: AttemptId }
  | { readonly type: "connection/ready"; readonly attemptId: AttemptId; readonly peerId: PeerId }
  | { readonly type: "connection/replayEarly"; readonly attemptId: AttemptId }
  | {
      /** We end the connection: Goodbye, penalty, close. */
      readonly type: "connection/disconnect";
      readonly attemptId: AttemptId;
      readonly reason: Reason;
      readonly detail: string;
    }
  | {
      /** A live peer is one no more: counted here, written to the log by the service. */
      readonly type: "connection/ended";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly reason: Reason;
      readonly by: "us" | "them" | "world";
      readonly detail: string;
    }
  | { readonly type: "connection/cut"; readonly attemptId: AttemptId };

export type ControlAction =
  | { readonly type: "control/receive"; readonly attemptId: AttemptId; readonly message: ControlMessage }
  | { readonly type: "control/keepAlive"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  | { readonly type: "control/sendPing"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  | {
      readonly type: "control/stalled";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly channel: ChannelName;
    };

/** 7.4 */
export type TransactionAction =
  | { readonly type: "transaction/receive"; readonly peerId: PeerId; readonly message: TransactionMessage }
  | { readonly type: "transaction/givePermit"; readonly peerId: PeerId }
  | { readonly type: "transaction/sendInfos"; readonly peerId: PeerId }
  | {
      /** The open permit asks for the band that was held back. */
      readonly type: "transaction/refloor";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
    }
  | {
      readonly type: "transaction/settle";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly hash: Hash;
    }
  | { readonly type: "transaction/expire"; readonly peerId: PeerId; readonly attemptId: AttemptId };

/** 7.4, Fetch */
export type FetchAction =
  | { readonly type: "fetch/announce"; readonly peerId: PeerId; readonly info: TransactionInfo }
  | { readonly type: "fetch/next"; readonly peerId: PeerId }
  | {
      /** The peer did not serve the item: it is settled for it, and the next announcer is asked. */
      readonly type: "fetch/fail";
      readonly peerId: PeerId;
      readonly hash: Hash;
    }
  | {
      /** What a response brought for what was asked: null where it brought nothing. */
      readonly type: "fetch/receive";
      readonly peerId: PeerId;
      readonly hashes: readonly Hash[];
      readonly items: readonly (Uint8Array | null)[];
    }
  | {
      readonly type: "fetch/verify";
      readonly items: readonly ItemBytes[];
      readonly requestId: RequestId | null;
    }
  | {
      readonly type: "fetch/conclude";
      readonly hash: Hash;
      readonly verdict: TransactionVerdict;
      /** The operator's request that submitted it, if any. */
      readonly requestId: RequestId | null;
    };

/** 7.7 */
export type RpcAction =
  | { readonly type: "rpc/receive"; readonly peerId: PeerId; readonly message: RpcMessage }
  | { readonly type: "rpc/request"; readonly peerId: PeerId; readonly body: RpcRequest }
  | {
      readonly type: "rpc/expire";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly id: number;
    }
  | {
      readonly type: "rpc/expireBlocked";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
    }
  | {
      readonly type: "rpc/respond";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly id: number;
      readonly body: RpcResponse;
    };
