import type { Action } from "./actions.ts";
import type { Place } from "./address.ts";
import type { Commitment, SnarkInfo } from "./block.ts";
import { type Book, freshBook } from "./book.ts";
import type { Hex } from "./bytes.ts";
import type { ChainParameters, TransactionInfo } from "./chain.ts";
import { type ChainState, genesisState } from "./chain-state.ts";
import type { BestTipChannel } from "./channels/best-tip.ts";
import type { Budget, ControlState } from "./channels/control.ts";
import type { DiscoveryChannel, PastFlows } from "./channels/discovery.ts";
import type { ExchangeChannel } from "./channels/exchange.ts";
import type { Cursor, Lack, PermitChannel } from "./channels/permits.ts";
import type { RpcChannel } from "./channels/rpc.ts";
import type { StreamingChannel } from "./channels/streaming-rpc.ts";
import type { ChannelMessage, ChannelName } from "./channels/table.ts";
import { type Deadlines, noDeadlines, setDeadline } from "./deadlines.ts";
import { type Floors, noFloors } from "./floors.ts";
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
import { emptyPool } from "./pool-log.ts";
import type { FetchedPool, PoolInfo, PoolName, Pools } from "./pools.ts";
import type { Priority } from "./priority.ts";
import type { Reason } from "./reasons.ts";
import { createRng, drawHex, type Rng } from "./rng.ts";
import type { SoundSdp } from "./sdp.ts";
import { SortedMap } from "./sorted-map.ts";
import type { Download } from "./streams.ts";
import { freshSync, type Sync } from "./sync.ts";
import { freshWork, type WorkState } from "./work.ts";

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
  /** Live peers whose permit waits for something to be appended. */
  readonly waiting: PerPool<SortedMap<PeerId, true>>;
  readonly admission: Admission;
  /** As listener: when the offers of the last minute came (7.2), oldest first. */
  readonly offersMs: readonly number[];
  /** As relay: what is held of dialers that have left, so that nobody is served sooner for coming back (7.1). */
  readonly pastDialers: SortedMap<PeerId, PastFlows>;
  /** What the operator wants to be connected to, by multiaddr. */
  readonly targets: SortedMap<string, Target>;
  /** Addresses of others. */
  readonly book: Book;
  readonly offenders: SortedMap<PeerId, Offender>;
  /** Address groups that are shut out, or may come to be (section 5). */
  readonly groups: SortedMap<string, OffendingGroup>;
  /** Keys that were ready for ACQUAINTED_AFTER_MS, and when they left. */
  readonly acquainted: SortedMap<PeerId, number>;
  /** Connections that ended, by who ended them and why: `us timeout`. */
  readonly endings: Readonly<Record<string, number>>;
  readonly chain: ChainState;
  /** What stands between the best tip that others announced and our own (7.3). */
  readonly sync: Sync;
  readonly pools: Pools;
  /** What the pools have asked for so far. */
  readonly floors: PerPool<Floors>;
  /** Evicted and replaced items that are still served, oldest first. */
  readonly rings: PerPool<Ring>;
  /** Submitted here and not in a block yet: offered again whenever the pool has room (7.4, Promise). */
  readonly local: SortedMap<Hash, PoolInfo>;
  /**
   * What the chain cannot use at its present tip, so that it is not fetched again before the next: because its last
   * blocks include it or have made it invalid, or because it said so.
   */
  readonly refused: SortedMap<Hash, "spent" | "notNow">;
  readonly fetches: SortedMap<Hash, Fetch>;
  readonly batches: SortedMap<BatchId, Batch>;
  readonly work: WorkState;
  /** Bodies that peers have sent, asked for or late, by pool. */
  readonly bodies: { readonly [Name in FetchedPool]: number };
  /** What ended connections had settled, by peer. */
  readonly resumes: SortedMap<PeerId, Resume>;
  /** What is being fetched by streaming (7.8). */
  readonly download: Download | null;
}

export type PerPool<T> = { readonly [Name in PoolName]: T };

export interface Ring {
  readonly next: number;
  readonly hashes: SortedMap<number, Hash>;
  /** The number of each: an item that is evicted again is as new as the first time. */
  readonly numbers: SortedMap<Hash, number>;
}

/** Where a connection stood when it ended (7.4, Resume). */
export interface Resume {
  readonly endedMs: number;
  readonly pools: { readonly [Name in PoolName]: ResumePoint | null };
}

export interface ResumePoint {
  readonly cursor: Cursor;
  readonly lack: Lack;
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
  /** With fewer, the node asks its peers for others (7.1). */
  readonly peersMin: number;
  /** Use loopback and private candidates of anybody, not only of peers whose socket is local. */
  readonly allowPrivateCandidates: boolean;
  readonly admission: AdmissionLimits;
  readonly chain: ChainParameters;
  /** Transactions the pool holds at most (7.4). */
  readonly capacity: number;
  /** Makes blocks, when it may. */
  readonly produces: boolean;
  /** Makes SNARK work for this fee; null: does not. */
  readonly workFee: bigint | null;
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
  readonly remote: Place | null;
  readonly target: DialAddress | null;
  /** Where the verified offer says that its sender listens: a claim (P17). */
  readonly listen: DialAddress | null;
  /** The request that waits for a reply. */
  readonly requestId: RequestId | null;
  /** The relay that carries the signals, until they are exchanged. */
  readonly via: Via | null;
  /** The `attempt` field of the signals. */
  readonly nonce: Hex;
  /** `issuedAt` of the offer. */
  readonly issuedAtMs: number;
  readonly offerHash: Hex;
  readonly session: Hex;
  /** The certificate the signed SDP promised. */
  readonly fingerprint: Hex;
  /** Dialed only to see whether the address that a connected peer claims is its own (7.7): it becomes no connection. */
  readonly isVerification: boolean;
  /** A connection object exists: it ends by `event/connectionClosed`. */
  readonly hasTransport: boolean;
  readonly connected: boolean;
  /** Where the peer is reached, once connected: found by the transport, no SDP can claim it. */
  readonly selected: Place | null;
  readonly opened: readonly ChannelName[];
  readonly hello: PeerHello | null;
  /** What arrived before the peer's Hello, processed after it. */
  readonly early: readonly Early[];
}

export interface Via {
  readonly peerId: PeerId;
  /** The connection with it. */
  readonly attemptId: AttemptId;
  /** Of an incoming attempt: who offers, as the relay says. */
  readonly from: Hex | null;
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

export type Early = ChannelMessage;

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
  /** Null, here and below, if one of us does not enable the channel. */
  readonly discovery: DiscoveryChannel | null;
  readonly exchange: ExchangeChannel | null;
  readonly bestTip: BestTipChannel | null;
  readonly pools: PerPool<PermitChannel | null>;
  readonly rpc: RpcChannel | null;
  readonly streaming: StreamingChannel | null;
  /** The rpc request that fetches items of a pool from this peer; one at a time, so nobody holds up anybody. */
  readonly fetching: { readonly [Name in FetchedPool]: number | null };
  readonly record: FetchRecord;
  /** Channels whose transport buffer is full. */
  readonly blocked: readonly ChannelName[];
  /** A newcomer with this key waits for the answer to this ping (3.3). */
  readonly probe: { readonly attemptId: AttemptId; readonly n: number } | null;
}

export type Promptness = "slow" | "new" | "prompt";

/** How well a peer serves what it announces. */
export interface FetchRecord {
  /** Who is asked first: whether its last request was answered within HEDGE_MS. It is `new` before the first. */
  readonly promptness: Promptness;
  /** Items asked for since `sinceMs`, and those among them that did not come (doesNotHave, section 5). */
  readonly asked: number;
  readonly withheld: number;
  readonly sinceMs: number;
}

/** An address to keep connected. */
export interface Target {
  readonly address: DialAddress;
  readonly failures: number;
  /** Transports that failed before ready and were dialed again at once, since the last back-off. */
  readonly retries: number;
  /** No dial before this time. */
  readonly nextMs: number;
}

export interface Offender {
  /** FOREVER_MS: it does not end. */
  readonly bannedUntilMs: number;
  /** Why it was banned last: a violation, or the operator. */
  readonly bannedFor: Reason | null;
  readonly restUntilMs: number;
  readonly strikesMs: readonly number[];
}

/** The addresses that one host may choose from: what one key is banned for another could do again (section 5). */
export interface OffendingGroup {
  readonly bannedUntilMs: number;
  readonly bannedFor: Reason | null;
  /** The last one of each key, oldest first, since the last ban. */
  readonly violations: readonly { readonly peerId: PeerId; readonly atMs: number }[];
}

/** An announced item on its way into the pool. */
export interface Fetch {
  readonly hash: Hash;
  readonly pool: PoolName;
  readonly priority: Priority;
  /** Everyone who may still serve it, with what each said of it. */
  readonly announcers: SortedMap<PeerId, PoolInfo>;
  readonly stage:
    | { readonly tag: "waiting" }
    /** `isLate`: the last one asked took longer than HEDGE_MS, another may be asked too. */
    | { readonly tag: "requested"; readonly from: readonly PeerId[]; readonly isLate: boolean }
    | { readonly tag: "verifying"; readonly batchId: BatchId };
}

/** Items under verification. */
export interface Batch {
  readonly pool: PoolName;
  readonly hashes: readonly Hash[];
  /** Made here, by the operator or the node itself. */
  readonly isLocal: boolean;
  /** The operator's request, if it was submitted here. */
  readonly requestId: RequestId | null;
}

/** @param seed 32 bytes of entropy, hexadecimal */
export function initialState(config: Config, seed: Hex, timeMs: number): State {
  const holder = { rng: createRng(seed) };
  const drawEpoch = (): bigint => BigInt(`0x${drawHex(holder, 8)}`);
  const pools = {
    transaction: emptyPool<TransactionInfo>(drawEpoch()),
    snark: emptyPool<SnarkInfo>(drawEpoch()),
    "snark-job-commitment": emptyPool<Commitment>(drawEpoch()),
  };
  return {
    timeMs,
    dropped: {},
    config,
    rng: holder.rng,
    stopping: false,
    nextAttemptId: 1,
    nextBatchId: 1,
    deadlines: firstDeadlines(config, timeMs),
    attempts: SortedMap.empty(),
    peers: SortedMap.empty(),
    waiting: perPool(() => SortedMap.empty()),
    admission: {
      buckets: SortedMap.empty(),
      global: { tokens: config.admission.global.burst, atMs: timeMs },
      replays: SortedMap.empty(),
    },
    offersMs: [],
    pastDialers: SortedMap.empty(),
    targets: SortedMap.empty(),
    book: freshBook(seed),
    offenders: SortedMap.empty(),
    groups: SortedMap.empty(),
    acquainted: SortedMap.empty(),
    endings: {},
    chain: genesisState(config.chain),
    sync: freshSync,
    pools,
    floors: perPool(() => noFloors),
    rings: perPool(() => ({ next: 0, hashes: SortedMap.empty(), numbers: SortedMap.empty() })),
    local: SortedMap.empty(),
    refused: SortedMap.empty(),
    fetches: SortedMap.empty(),
    batches: SortedMap.empty(),
    work: freshWork(config.produces, config.workFee !== null),
    bodies: { transaction: 0, snark: 0 },
    resumes: SortedMap.empty(),
    download: null,
  };
}

const perPool = <T>(make: () => T): PerPool<T> => ({
  transaction: make(),
  snark: make(),
  "snark-job-commitment": make(),
});

/** A producer looks at its first slot; everything else begins with an input. */
const firstDeadlines = ({ produces }: Config, atMs: number): Deadlines<Action> =>
  produces
    ? setDeadline(noDeadlines<Action>(), { name: "slot", atMs, action: { type: "work/produce" } })
    : noDeadlines();
