import {
  bytes,
  bytesUpTo,
  hex,
  type Infer,
  option,
  refined,
  struct,
  u8,
  u32,
  u64,
  union,
  vec,
} from "../codec/schema.ts";
import type { Hash } from "../ids.ts";
import { CHUNK_BYTES, CHUNK_PROOF_MAX } from "../limits.ts";
import type { Budget } from "./control.ts";

const manifestSchema = struct({ size: u64, merkleRoot: hex(32) });
/** What a root stands for; it hashes to it. */
export type Manifest = Infer<typeof manifestSchema>;

/** Like a permit for no infos (section 5). More than 8 is for the rule: "over 8 outstanding" is overLimit. */
const chunksAsked = refined(u8, (count) => (count > 0 ? null : "a Next for no chunk"));

/** 7.8 */
export const streamingSchema = union({
  request: { id: u32, root: hex<Hash>(32) },
  manifest: { id: u32, manifest: option(manifestSchema) },
  next: { id: u32, from: u32, count: chunksAsked },
  chunk: { id: u32, index: u32, data: bytesUpTo(CHUNK_BYTES), proof: vec(bytes(32), CHUNK_PROOF_MAX) },
  cancel: { id: u32 },
});

export type StreamingMessage = Infer<typeof streamingSchema>;

/**
 * The channel with one peer. Ids start at 0 and grow by 1 in each direction. What we fetch from the peer is with the
 * download (core/streams.ts), which outlives the connection.
 */
export interface StreamingChannel {
  readonly nextId: number;
  readonly theirNextId: number;
  /** What we serve to the peer, one stream at a time. */
  readonly theirs: ServedStream | null;
  /** Streams that the peer may still open; null until it has asked for one. */
  readonly requestBudget: Budget | null;
}

export interface ServedStream {
  readonly id: number;
  readonly root: Hash;
  /** Null until we know whether we have it: nothing can be permitted before our Manifest. */
  readonly chunks: number | null;
  /** Chunks the peer waits for, in the order of its permits, at most STREAM_OUTSTANDING_MAX. */
  readonly permitted: readonly number[];
  /** The first of them is being loaded. */
  readonly isLoading: boolean;
  /** When the peer last asked for something or was sent something. */
  readonly activeMs: number;
}

export const freshStreaming = (): StreamingChannel => ({
  nextId: 0,
  theirNextId: 0,
  theirs: null,
  requestBudget: null,
});
