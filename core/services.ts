import type { Ban } from "./bans.ts";
import type { Block, BlockHeader, Tip } from "./block.ts";
import type { Hex } from "./bytes.ts";
import type { Manifest } from "./channels/streaming-rpc.ts";
import type { ChannelName } from "./channels/table.ts";
import type { AttemptId, BatchId, CheckId, Hash, JobId, PeerId, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import type { PoolName } from "./pools.ts";

/**
 * The world as the core sees it. Each method starts one thing and returns at once; what comes of it arrives
 * later as the event named beside it, with the same id. Services decide nothing and never throw into the core.
 * The same interfaces are implemented over node-datachannel, in the simulator and, later, in browsers.
 */
export interface Services {
  readonly transport: Transport;
  readonly signaling: Signaling;
  readonly crypto: Crypto;
  readonly chain: Chain;
  readonly streams: Streams;
  readonly operator: Operator;
}

/**
 * WebRTC. Per attempt the events come in this order: at most one `event/localDescription`, at most one
 * `event/connected`, any number of channel events and messages, and exactly one `event/connectionClosed`, after
 * which nothing follows - whether creation failed, the peer left or `close` was called.
 */
export interface Transport {
  /** Creates the connection object with all channels and its complete offer -> `event/localDescription`. */
  createOffer(attemptId: AttemptId): void;
  /** @param sdp the checked offer without its candidates -> `event/localDescription` */
  createAnswer(attemptId: AttemptId, sdp: string): void;
  /** @param sdp the checked answer -> `event/connected`, then one `event/channelOpened` per channel */
  applyAnswer(attemptId: AttemptId, sdp: string): void;
  /** @param candidates values of `a=candidate` attributes, without `a=` */
  addCandidates(attemptId: AttemptId, candidates: readonly string[]): void;
  /**
   * In order and reliable per channel. More than 256 KiB unsent -> `event/channelBlocked`, again whenever some of it
   * has left but not all, and in the end `event/channelDrained`.
   */
  send(attemptId: AttemptId, channel: ChannelName, bytes: Uint8Array): void;
  /** `graceful`: what was sent still leaves before the connection ends. Idempotent; unknown ids are ignored. */
  close(attemptId: AttemptId, graceful: boolean): void;
}

/** Signaling over HTTP (3.1). Incoming offers arrive as `event/signalReceived`. */
export interface Signaling {
  /** Posts an offer to a listener -> `event/signalAnswered`, in any case within SIGNAL_REPLY_TIMEOUT_MS. */
  post(attemptId: AttemptId, address: DialAddress, envelope: Uint8Array): void;
  /** Answers one `event/signalReceived`. Idempotent. */
  reply(requestId: RequestId, reply: SignalReply): void;
}

export type SignalReply =
  | { readonly tag: "envelope"; readonly envelope: Uint8Array }
  | { readonly tag: "undecodable" }
  | { readonly tag: "rateLimited"; readonly retryAfterS: number }
  | { readonly tag: "unavailable"; readonly retryAfterS: number };

export type SignalOutcome =
  | { readonly tag: "envelope"; readonly envelope: Uint8Array; readonly remoteAddress: string }
  | { readonly tag: "refused"; readonly status: number; readonly retryAfterS: number | null }
  | { readonly tag: "failed"; readonly error: string };

/** Which of the two directions an envelope is for: its HKDF info and AAD (section 3). */
export type EnvelopeKind = "offer" | "answer";

/** The label of a signal's signature hash (section 3). */
export type SignalLabel = "pollen/offer/1" | "pollen/answer/1" | "pollen/reject/1";

/** Everything that needs the node's secret key, and the check of signatures, which is too slow for a reducer. */
export interface Crypto {
  /** -> `event/envelopeOpened` with the plaintext, or null if it is not for this key or was altered. */
  open(attemptId: AttemptId, kind: EnvelopeKind, envelope: Uint8Array): void;
  /** ed25519 exactly as section 3 defines it -> `event/signatureChecked` */
  verify(attemptId: AttemptId, publicKey: Hex, digest: Uint8Array, signature: Uint8Array): void;
  /**
   * Signs `H(label, unsigned)`, appends the 64-byte signature, and seals `prefix || signed` for the recipient
   * -> `event/signalSealed` with both. The prefix is the tag of a Reply; an offer has none.
   */
  seal(
    attemptId: AttemptId,
    label: SignalLabel,
    unsigned: Uint8Array,
    prefix: Uint8Array,
    recipient: Hex,
  ): void;
}

/**
 * The blockchain above the network (chain.ts). It keeps bytes: of everything it called valid until `forgetItems`, and
 * of all items of the blocks it has applied until `forgetBlocks`, whichever is later; both kinds are served by hash.
 */
export interface Chain {
  /**
   * Verifies items of one pool off the hot path -> `event/itemsVerified`, one verdict per item in order; or null if
   * this chain can only tell that the batch as a whole is not valid: it is then asked again for each half, and keeps
   * the bytes until then. Commitments are given in Borsh. Where verification waits, peers have their turns, and so has
   * the node itself, which is null.
   */
  verifyItems(batchId: BatchId, pool: PoolName, items: readonly ItemBytes[], peerId: PeerId | null): void;
  /** Half of a batch that was not valid as a whole -> `event/itemsVerified` */
  verifyAgain(batchId: BatchId, pool: PoolName, hashes: readonly Hash[]): void;
  /** -> `event/itemsLoaded` for an rpc request of a peer, null for what is not kept. */
  loadItems(attemptId: AttemptId, rpcId: number, hashes: readonly Hash[]): void;
  /** The pool does not hold these any more. Those of kept blocks stay. */
  forgetItems(hashes: readonly Hash[]): void;

  /** Everything that a header proves by itself: signature, slot, epoch, right to produce -> `event/headersVerified`. */
  verifyHeaders(checkId: CheckId, headers: readonly BlockHeader[]): void;
  /** An applied block, for an rpc request -> `event/blockLoaded`. */
  loadBlock(attemptId: AttemptId, rpcId: number, hash: Hash): void;
  /** Headers of an applied block and its ancestors, at most `count` -> `event/ancestryLoaded`. */
  loadAncestry(attemptId: AttemptId, rpcId: number, hash: Hash, count: number): void;
  /** Takes a block that has its body root -> `event/blockPrepared` with the items that are not kept yet. */
  prepareBlock(hash: Hash, block: Block): void;
  /** Items of a prepared block; their hashes were checked. */
  supplyItems(hash: Hash, items: readonly ItemBytes[]): void;
  /** Applies a prepared block, of which nothing is missing, to its applied parent -> `event/blockApplied`. */
  applyBlock(hash: Hash): void;
  /** Makes an applied block the best tip -> `event/tipAdopted`. */
  adoptTip(hash: Hash): void;
  /** Prepared or applied blocks that are not needed any more. */
  forgetBlocks(hashes: readonly Hash[]): void;

  /**
   * Makes a block of this slot on the applied block `parent` out of these items, leaving out what does not fit, if the
   * node may; the block is applied at once -> `event/blockProduced`.
   */
  produceBlock(parent: Hash, slot: number, transactions: readonly Hash[], snarks: readonly Hash[]): void;
  /** -> `event/commitmentSigned` */
  signCommitment(jobId: JobId, fee: bigint, issuedAt: bigint): void;
  /** Starts the proof of a job; it takes its time -> `event/snarkMade`. Another call gives the first one up. */
  makeSnark(jobId: JobId, fee: bigint): void;
  /** Gives up the proof that is being made; no event follows. */
  abandonSnark(): void;

  /** Applies a ledger that was streamed to this node as the state after `tip` -> `event/snapshotApplied`. */
  applySnapshot(tip: Tip): void;
}

/**
 * Data larger than a message, named by its root (7.8). What is received is kept by root until `discard`, each chunk
 * verified before it counts.
 */
export interface Streams {
  /** Something to serve -> `event/streamOpened`, with null if it is not kept. */
  open(attemptId: AttemptId, streamId: number, root: Hash): void;
  /** A chunk of an open stream -> `event/chunkLoaded` */
  loadChunk(attemptId: AttemptId, streamId: number, root: Hash, index: number): void;
  /** The stream is not served any more; what was asked for and is not there yet need not come. Idempotent. */
  close(attemptId: AttemptId, streamId: number): void;
  /** Checks a chunk against the root and keeps it -> `event/chunkStored`, once for each call. */
  storeChunk(attemptId: AttemptId, streamId: number, chunk: ReceivedChunk): void;
  /** What was received of this root is not needed any more. Idempotent. */
  discard(root: Hash): void;
}

/** Something that can be served. */
export interface Provider {
  /** In bytes. */
  readonly size: number;
  /** The chunk at this index. @throws if it cannot be read any more */
  readonly read: (index: number) => Uint8Array;
}

export interface LoadedChunk {
  readonly data: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * - `stored`: it is what the root names, and kept.
 * - `invalid`: it is not, and was not kept. Its sender is to blame.
 * - `failed`: it could not be kept, for lack of memory or disk. Nobody is to blame.
 */
export type ChunkOutcome = "stored" | "invalid" | "failed";

export interface ReceivedChunk extends LoadedChunk {
  readonly root: Hash;
  readonly manifest: Manifest;
  readonly index: number;
}

export interface ItemBytes {
  readonly hash: Hash;
  readonly bytes: Uint8Array;
}

/** Answers to commands that came from outside (the operator API). */
export interface Operator {
  answer(requestId: RequestId, result: CommandResult): void;
}

export type CommandResult =
  | { readonly tag: "submitted"; readonly hash: Hash }
  /** Valid, and offered to the pool again as soon as that has room for it. */
  | { readonly tag: "keptAside"; readonly hash: Hash }
  | { readonly tag: "invalid"; readonly detail: string }
  | { readonly tag: "conflict"; readonly detail: string }
  | { readonly tag: "producing" | "working"; readonly isOn: boolean }
  | { readonly tag: "dialing"; readonly peerId: PeerId }
  | { readonly tag: "disconnected"; readonly peerId: PeerId }
  | { readonly tag: "banned"; readonly ban: Ban }
  | { readonly tag: "unbanned" }
  | { readonly tag: "notFound"; readonly detail: string }
  | { readonly tag: "unavailable"; readonly detail: string };
