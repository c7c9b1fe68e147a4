import type { BookAction } from "./actions/book.ts";
import type { ReconcileAction } from "./actions/reconcile.ts";
import type { RelayAction } from "./actions/relay.ts";
import type { StreamAction } from "./actions/stream.ts";
import type { SyncAction } from "./actions/sync.ts";
import type { WorkAction } from "./actions/work.ts";
import type { BanSubject } from "./bans.ts";
import type { Block, BlockHeader, Commitment } from "./block.ts";
import type { Hex } from "./bytes.ts";
import type { BlockVerdict, ItemRef, ItemVerdict, TipChange } from "./chain.ts";
import type { BestTipMessage } from "./channels/best-tip.ts";
import type { ControlMessage } from "./channels/control.ts";
import type { Cursor, PoolMessage, Reconciliation } from "./channels/permits.ts";
import type { RpcMessage, RpcPurpose, RpcRequest, RpcResponse } from "./channels/rpc.ts";
import type { Manifest } from "./channels/streaming-rpc.ts";
import type { ChannelName } from "./channels/table.ts";
import type { AttemptId, BatchId, CheckId, Hash, JobId, PeerId, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import type { FetchedPool, PoolInfo, PoolName } from "./pools.ts";
import type { Reason, Rejection } from "./reasons.ts";
import type { ChunkOutcome, ItemBytes, LoadedChunk, SignalOutcome } from "./services.ts";

/** Everything that changes the state. */
export type Action =
  | Input
  | SignalAction
  | ConnectionAction
  | ControlAction
  | BestTipAction
  | PoolAction
  | FetchAction
  | RpcAction
  | BookAction
  | SyncAction
  | ReconcileAction
  | RelayAction
  | StreamAction
  | WorkAction;

/** Everything that reaches the core from outside: the only things that are recorded (kernel contract 1 and 5). */
export type Input = Event | Command | Tick;

/** Time has passed: what is due by `nextDeadline` is proposed. */
export interface Tick {
  readonly type: "tick";
}

export type Event = TransportEvent | SignalingEvent | CryptoEvent | ChainEvent | StreamEvent;

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
  /** More of this peer waits to be read than anybody may have sent ahead. */
  | { readonly type: "event/inboxFull"; readonly attemptId: AttemptId }
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
      readonly type: "event/itemsVerified";
      readonly batchId: BatchId;
      /** Null: not all are valid, and this chain cannot tell which. */
      readonly verdicts: readonly ItemVerdict[] | null;
    }
  | {
      readonly type: "event/itemsLoaded";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly items: readonly (Uint8Array | null)[];
    }
  | { readonly type: "event/headersVerified"; readonly checkId: CheckId; readonly verdict: BlockVerdict }
  | {
      readonly type: "event/blockLoaded";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly block: Block | null;
    }
  | {
      readonly type: "event/ancestryLoaded";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      /** The block that was asked for first, then its parents; empty if it is not kept. */
      readonly headers: readonly BlockHeader[];
    }
  | { readonly type: "event/blockPrepared"; readonly hash: Hash; readonly missing: readonly ItemRef[] }
  | { readonly type: "event/blockApplied"; readonly hash: Hash; readonly verdict: BlockVerdict }
  | { readonly type: "event/tipAdopted"; readonly change: TipChange }
  | {
      readonly type: "event/blockProduced";
      readonly slot: number;
      /** Null: the node may not produce in this slot, or there is nothing it can build on. */
      readonly header: BlockHeader | null;
    }
  | { readonly type: "event/commitmentSigned"; readonly commitment: Commitment }
  | { readonly type: "event/snarkMade"; readonly jobId: JobId; readonly bytes: Uint8Array }
  | { readonly type: "event/snapshotApplied"; readonly hash: Hash; readonly verdict: BlockVerdict };

export type StreamEvent =
  | {
      readonly type: "event/streamOpened";
      readonly attemptId: AttemptId;
      readonly streamId: number;
      readonly manifest: Manifest | null;
    }
  | {
      readonly type: "event/chunkLoaded";
      readonly attemptId: AttemptId;
      readonly streamId: number;
      readonly index: number;
      /** Null: it cannot be read any more. */
      readonly chunk: LoadedChunk | null;
    }
  | {
      readonly type: "event/chunkStored";
      readonly attemptId: AttemptId;
      readonly streamId: number;
      readonly root: Hash;
      readonly index: number;
      readonly outcome: ChunkOutcome;
    };

/** Wishes of the operator. Those with a request id are answered by exactly one `operator.answer`. */
export type Command =
  | { readonly type: "command/dial"; readonly requestId: RequestId; readonly address: DialAddress }
  | { readonly type: "command/disconnect"; readonly requestId: RequestId; readonly peerId: PeerId }
  | {
      /** A transaction, or a piece of SNARK work. */
      readonly type: "command/submit";
      readonly requestId: RequestId;
      readonly pool: "transaction" | "snark";
      readonly bytes: Uint8Array;
    }
  | { readonly type: "command/produce"; readonly requestId: RequestId; readonly isOn: boolean }
  | { readonly type: "command/work"; readonly requestId: RequestId; readonly isOn: boolean }
  | {
      readonly type: "command/ban";
      readonly requestId: RequestId;
      readonly subject: BanSubject;
      /** Null: for ever. */
      readonly forMs: number | null;
    }
  | { readonly type: "command/unban"; readonly requestId: RequestId; readonly subject: BanSubject }
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
  | {
      /** It ended by a Goodbye, ours or theirs, before it was ready: written to the log by the service. */
      readonly type: "attempt/ended";
      readonly attemptId: AttemptId;
      readonly peerId: PeerId | null;
      readonly reason: Reason;
      readonly by: "us" | "them" | "world";
      readonly detail: string;
    }
  | { readonly type: "attempt/expire"; readonly attemptId: AttemptId }
  | {
      /** What came of an offer that went by a relay; null: nothing did. */
      readonly type: "dial/relayed";
      readonly attemptId: AttemptId;
      readonly envelope: Uint8Array | null;
    }
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
  /** All slots for incoming peers are taken: one peer is evicted, so that the next newcomer can try. */
  | { readonly type: "connection/makeRoom" }
  | {
      /** We end the connection: Goodbye, penalty, close. */
      readonly type: "connection/disconnect";
      readonly attemptId: AttemptId;
      readonly reason: Reason;
      readonly detail: string;
    }
  | {
      /** The connection with a live peer has ended: counted here, logged by the service. */
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

/** 7.3 */
export type BestTipAction =
  | { readonly type: "bestTip/receive"; readonly peerId: PeerId; readonly message: BestTipMessage }
  | { readonly type: "bestTip/givePermit"; readonly peerId: PeerId }
  | { readonly type: "bestTip/announce"; readonly peerId: PeerId }
  | {
      /** What became of the header that this peer announced last is known. */
      readonly type: "bestTip/settle";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly hash: Hash;
    };

/** 7.4 to 7.6: one permit machine for three pools. */
export type PoolAction =
  | {
      readonly type: "pool/receive";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly message: PoolMessage;
    }
  | { readonly type: "pool/givePermit"; readonly pool: PoolName; readonly peerId: PeerId }
  | { readonly type: "pool/sendInfos"; readonly pool: PoolName; readonly peerId: PeerId }
  | {
      /** The open permit has the wrong window by now. */
      readonly type: "pool/refloor";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
    }
  | {
      /** Infos that a permit or a reconciliation brought are looked at, each to its end. */
      readonly type: "pool/process";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly infos: readonly PoolInfo[];
      readonly cursor: Cursor;
      readonly found: Reconciliation | null;
    }
  | {
      readonly type: "pool/settle";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      readonly hash: Hash;
    }
  | {
      readonly type: "pool/expire";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
    }
  | {
      /** Another best tip: what it includes and makes invalid leaves the pools, what it undoes comes back. */
      readonly type: "pool/followTip";
      readonly change: TipChange;
    }
  | { readonly type: "pool/expireCommitments" }
  | { readonly type: "pool/forgetResume"; readonly peerId: PeerId };

/** 7.4, Fetch */
export type FetchAction =
  | {
      readonly type: "fetch/announce";
      readonly pool: PoolName;
      readonly peerId: PeerId;
      readonly info: PoolInfo;
    }
  | { readonly type: "fetch/next"; readonly peerId: PeerId }
  | {
      /** The peer is asked for what is wanted of it, in one step: so nobody else takes the slot, or the number. */
      readonly type: "fetch/request";
      readonly pool: FetchedPool;
      readonly peerId: PeerId;
    }
  | {
      /** The peer did not serve the item: it is settled for it, and the next announcer is asked. */
      readonly type: "fetch/fail";
      readonly peerId: PeerId;
      readonly hash: Hash;
      readonly why: "none" | "timeout" | "tooLarge";
    }
  | {
      /** No answer after HEDGE_MS: the other announcers are asked too. */
      readonly type: "fetch/hedge";
      readonly pool: FetchedPool;
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
    }
  | {
      /** What came of a request with purpose `fetch`: null if nothing did, in time or at all. */
      readonly type: "fetch/answered";
      readonly peerId: PeerId;
      readonly request: RpcRequest;
      readonly response: RpcResponse | null;
    }
  | {
      readonly type: "fetch/verify";
      /** Who served or announced them; null: they were made here, by the operator or the node itself. */
      readonly peerId: PeerId | null;
      readonly pool: PoolName;
      readonly items: readonly ItemBytes[];
      /** The operator's request that submitted it, if any. */
      readonly requestId: RequestId | null;
    }
  | {
      readonly type: "fetch/conclude";
      readonly pool: PoolName;
      readonly hash: Hash;
      readonly verdict: ItemVerdict;
      readonly requestId: RequestId | null;
      readonly isLocal: boolean;
    };

/** 7.7 */
export type RpcAction =
  | { readonly type: "rpc/receive"; readonly peerId: PeerId; readonly message: RpcMessage }
  | {
      readonly type: "rpc/request";
      readonly peerId: PeerId;
      readonly purpose: RpcPurpose;
      readonly body: RpcRequest;
    }
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
