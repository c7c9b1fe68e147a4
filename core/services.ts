import type { Hex } from "./bytes.ts";
import type { ChannelName } from "./channels/table.ts";
import type { AttemptId, BatchId, Hash, PeerId, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";

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
  | { readonly tag: "halfOpenFull"; readonly retryAfterS: number };

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

/** The blockchain above the network: see chain.ts for what it must promise. */
export interface Chain {
  /**
   * Verifies transactions off the hot path -> `event/transactionsVerified`, one verdict per item in order. The
   * chain keeps the bytes of valid items, and serves them, until `forgetItems`.
   */
  verifyTransactions(batchId: BatchId, items: readonly ItemBytes[]): void;
  /** -> `event/itemsLoaded` for an rpc request of a peer, null for what is not kept. */
  loadItems(attemptId: AttemptId, rpcId: number, hashes: readonly Hash[]): void;
  forgetItems(hashes: readonly Hash[]): void;
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
  | { readonly tag: "invalid"; readonly detail: string }
  | { readonly tag: "conflict"; readonly detail: string }
  | { readonly tag: "dialing"; readonly peerId: PeerId }
  | { readonly tag: "disconnected"; readonly peerId: PeerId }
  | { readonly tag: "notFound"; readonly detail: string }
  | { readonly tag: "unavailable"; readonly detail: string };
