import type { Action } from "./actions.ts";
import type { Hex } from "./bytes.ts";
import type { TransactionInfo } from "./chain.ts";
import type { Budget, ControlMessage, ControlState } from "./channels/control.ts";
import type { RpcChannel, RpcMessage } from "./channels/rpc.ts";
import type { ChannelName } from "./channels/table.ts";
import type { TransactionChannel, TransactionMessage } from "./channels/transaction.ts";
import { type Deadlines, noDeadlines } from "./deadlines.ts";
import type { AttemptId, BatchId, Hash, PeerId, RequestId } from "./ids.ts";
import type { KernelState } from "./kernel.ts";
import {
  ADMISSION_GLOBAL_BURST,
  ADMISSION_GLOBAL_PER_SECOND,
  ADMISSION_GROUP_BURST,
  ADMISSION_GROUP_PER_SECOND,
  ADMISSION_IP_BURST,
  ADMISSION_IP_PER_SECOND,
  HALF_OPEN_MAX,
  HALF_OPEN_PER_GROUP_MAX,
} from "./limits.ts";
import type { DialAddress } from "./multiaddr.ts";
import { emptyPool, type PoolLog } from "./pool-log.ts";
import type { Priority } from "./priority.ts";
import { createRng, drawHex, type Rng } from "./rng.ts";
import type { SoundSdp } from "./sdp.ts";
import { SortedMap } from "./sorted-map.ts";

/** One node. Objects, arrays, strings, numbers, bigint, null and SortedMap: nothing else, ever. */
export interface State extends KernelState {
  readonly config: Config;
  readonly rng: Rng;
  /** Set by `command/stop`: nothing new begins. */
  readonly stopping: boolean;
  readonly nextAttemptId: number;
  readonly nextBatchId: number;
  readonly deadlines: Deadlines<Action>;
  /** From the first byte of a signal to the end of its connection. */
  readonly attempts: SortedMap<AttemptId, Attempt>;
  /** Keys that hold a slot, half-open ones included: never more than `config.peersMax`. */
  readonly peers: SortedMap<PeerId, Peer>;
  /** Live peers whose transaction permit waits for something to be appended. */
  readonly waiting: SortedMap<PeerId, true>;
  readonly admission: Admission;
  /** What the operator wants to be connected to, by multiaddr. */
  readonly targets: SortedMap<string, Target>;
  readonly offenders: SortedMap<PeerId, Offender>;
  /** Connections that ended, by who ended them and why: `us timeout`. */
  readonly endings: Readonly<Record<string, number>>;
  readonly transactions: PoolLog<TransactionInfo>;
  readonly fetches: SortedMap<Hash, Fetch>;
  readonly batches: SortedMap<BatchId, Batch>;
}

/** What a node is told at its start. */
export interface Config {
  readonly peerId: PeerId;
  /** The same identity as raw key. */
  readonly publicKey: Hex;
  readonly chainId: Hex;
  readonly userAgent: string;
  /** Our own dial address, if we listen. */
  readonly listen: string | null;
  readonly peersMax: number;
  /** Use loopback and private candidates of anybody, not only of peers whose socket is local. */
  readonly allowPrivateCandidates: boolean;
  readonly admission: AdmissionLimits;
}

/** 3.2, configurable. Burst in requests, rates per second. */
export interface AdmissionLimits {
  readonly ip: Bucket;
  readonly group: Bucket;
  readonly global: Bucket;
  readonly halfOpenMax: number;
  readonly halfOpenPerGroupMax: number;
}

export interface Bucket {
  readonly burst: number;
  readonly perSecond: number;
}

/** What 3.2 says, where the operator says nothing else. */
export const DEFAULT_ADMISSION: AdmissionLimits = {
  ip: { burst: ADMISSION_IP_BURST, perSecond: ADMISSION_IP_PER_SECOND },
  group: { burst: ADMISSION_GROUP_BURST, perSecond: ADMISSION_GROUP_PER_SECOND },
  global: { burst: ADMISSION_GLOBAL_BURST, perSecond: ADMISSION_GLOBAL_PER_SECOND },
  halfOpenMax: HALF_OPEN_MAX,
  halfOpenPerGroupMax: HALF_OPEN_PER_GROUP_MAX,
};

export interface Admission {
  /** By IP and by address group. */
  readonly buckets: SortedMap<string, Budget>;
  readonly global: Budget;
  /** (from, nonce) of verified offers -> forgotten at. */
  readonly replays: SortedMap<string, number>;
}

/** One attempt to connect and, once ready, its connection. */
export interface Attempt {
  readonly id: AttemptId;
  readonly direction: "incoming" | "outgoing";
  readonly startedMs: number;
  readonly phase: Phase;
  /** Known from the start when dialing; from the verified offer when answering. */
  readonly peerId: PeerId | null;
  /** Where the HTTP request came from or goes to. */
  readonly remote: { readonly address: string; readonly group: string } | null;
  readonly target: DialAddress | null;
  /** The request that waits for a reply. */
  readonly requestId: RequestId | null;
  /** The `attempt` field of the signals. */
  readonly nonce: Hex;
  /** `issuedAt` of the offer. */
  readonly issuedAtMs: number;
  readonly offerHash: Hex;
  readonly session: Hex;
  /** The certificate the signed SDP promised. */
  readonly fingerprint: Hex;
  /** A connection object exists: it ends by `event/connectionClosed`. */
  readonly hasTransport: boolean;
  readonly connected: boolean;
  readonly opened: readonly ChannelName[];
  readonly hello: PeerHello | null;
  /** What arrived before the peer's Hello, processed after it. */
  readonly early: readonly Early[];
}

export type Phase =
  | { readonly tag: "offering" }
  | { readonly tag: "sealingOffer" }
  | { readonly tag: "awaitingReply" }
  | { readonly tag: "openingReply" }
  | { readonly tag: "verifyingReply"; readonly reply: VerifyingReply }
  | { readonly tag: "openingOffer" }
  | { readonly tag: "verifyingOffer"; readonly offer: CheckedOffer }
  | { readonly tag: "probing"; readonly offer: AdmittedOffer }
  | { readonly tag: "answering"; readonly candidates: readonly string[] }
  | { readonly tag: "sealingAnswer"; readonly candidates: readonly string[] }
  | { readonly tag: "sealingRejection" }
  | { readonly tag: "connecting"; readonly candidates: readonly string[] }
  | { readonly tag: "ready" }
  /** A Goodbye was sent or received: everything else on this connection is ignored. */
  | { readonly tag: "closing" };

export type VerifyingReply =
  | { readonly tag: "answer"; readonly sdp: string; readonly session: Hex }
  | { readonly tag: "rejected"; readonly reason: number; readonly retryAfterMs: number };

/** What is left of an offer once everything but its signature was checked. */
export interface CheckedOffer {
  readonly from: Hex;
  readonly sdp: string;
}

/** What an admitted offer means for its answer: the SDP has passed its rules. */
export interface AdmittedOffer extends Pick<SoundSdp, "fingerprint" | "bare" | "candidates"> {
  readonly from: Hex;
}

export interface PeerHello {
  readonly version: number;
  readonly userAgent: string;
  readonly channels: number;
}

export type Early =
  | { readonly channel: "control"; readonly message: ControlMessage }
  | { readonly channel: "transaction"; readonly message: TransactionMessage }
  | { readonly channel: "rpc"; readonly message: RpcMessage };

/** A key that holds a slot: dialed, answered, live, or several of these while duplicates are compared. */
export interface Peer {
  readonly peerId: PeerId;
  readonly dialing: AttemptId | null;
  readonly answering: AttemptId | null;
  readonly live: LivePeer | null;
}

/** The one ready connection with a peer. */
export interface LivePeer {
  readonly attemptId: AttemptId;
  readonly direction: "incoming" | "outgoing";
  readonly sinceMs: number;
  readonly version: number;
  readonly userAgent: string;
  readonly control: ControlState;
  /** Null if one of us does not enable the channel. */
  readonly transaction: TransactionChannel | null;
  readonly rpc: RpcChannel | null;
  /** The rpc request that fetches items from this peer; one at a time, so nobody holds up anybody. */
  readonly fetching: number | null;
  /** Channels whose transport buffer is full. */
  readonly blocked: readonly ChannelName[];
  /** A newcomer with this key waits for the answer to this ping (3.3). */
  readonly probe: { readonly attemptId: AttemptId; readonly n: number } | null;
}

/** An address to keep connected. */
export interface Target {
  readonly address: DialAddress;
  readonly failures: number;
  /** Transports that failed before ready and were dialed again at once, since the last back-off. */
  readonly retries: number;
  /** Not dialed before. */
  readonly nextMs: number;
}

export interface Offender {
  readonly bannedUntilMs: number;
  readonly restUntilMs: number;
  readonly strikesMs: readonly number[];
}

/** An announced item on its way into the pool. */
export interface Fetch {
  readonly hash: Hash;
  readonly priority: Priority;
  /** Everyone who may still serve it, with what each said of it. */
  readonly announcers: SortedMap<PeerId, TransactionInfo>;
  readonly stage:
    | { readonly tag: "waiting" }
    | { readonly tag: "requested"; readonly peerId: PeerId }
    | { readonly tag: "verifying"; readonly batchId: BatchId };
}

/** Items under verification. */
export interface Batch {
  readonly hashes: readonly Hash[];
  /** The operator's request, if it was submitted here. */
  readonly requestId: RequestId | null;
}

/** @param seed 32 bytes of entropy, hexadecimal */
export function initialState(config: Config, seed: Hex, timeMs: number): State {
  const holder = { rng: createRng(seed) };
  const epoch = BigInt(`0x${drawHex(holder, 8)}`);
  return {
    timeMs,
    dropped: {},
    config,
    rng: holder.rng,
    stopping: false,
    nextAttemptId: 1,
    nextBatchId: 1,
    deadlines: noDeadlines(),
    attempts: SortedMap.empty(),
    peers: SortedMap.empty(),
    waiting: SortedMap.empty(),
    admission: {
      buckets: SortedMap.empty(),
      global: { tokens: config.admission.global.burst, atMs: timeMs },
      replays: SortedMap.empty(),
    },
    targets: SortedMap.empty(),
    offenders: SortedMap.empty(),
    endings: {},
    transactions: emptyPool(epoch),
    fetches: SortedMap.empty(),
    batches: SortedMap.empty(),
  };
}
