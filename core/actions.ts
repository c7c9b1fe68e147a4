import type { Hex } from "./bytes.ts";
import type { TransactionVerdict } from "./chain.ts";
import type { ChannelName } from "./channels/table.ts";
import type { AttemptId, BatchId, Hash, PeerId, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import type { SignalOutcome } from "./services.ts";

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
      readonly hash: Hash;
      readonly bytes: Uint8Array;
    }
  | { readonly type: "command/stop" };
