import type { Manifest } from "./channels/streaming-rpc.ts";
import type { AttemptId, Hash, PeerId } from "./ids.ts";
import { SortedMap } from "./sorted-map.ts";

/** What a node fetches by streaming (7.8): one root at a time, different chunks from several peers at once. */
export interface Download {
  readonly root: Hash;
  readonly startedMs: number;
  /** False: nobody was left to fetch it from. What is here is kept for another try. */
  readonly isActive: boolean;
  /** Null until the first peer has told it. */
  readonly manifest: Manifest | null;
  /** In all; 0 until the manifest is here. */
  readonly chunks: number;
  /** Neither here nor permitted to anybody. The rest of all chunks is stored, being stored or permitted. */
  readonly missing: Runs;
  /** Arrived and being verified, by index. */
  readonly storing: SortedMap<number, ChunkOrigin>;
  /** Chunks that were verified and are kept. */
  readonly stored: number;
  readonly storedBytes: number;
  /** Live peers with an open stream of ours. Others have said that they do not have it, or do not go on with it. */
  readonly sources: SortedMap<PeerId, Source>;
}

/** An open stream from one peer. */
export interface Source {
  readonly attemptId: AttemptId;
  readonly streamId: number;
  /** Its manifest is here: chunks can be permitted. */
  readonly isServing: boolean;
  /** Chunks it may send and has not, in the order of the permits. */
  readonly permitted: readonly number[];
  /** How many of its chunks are being verified. With those permitted at most STREAM_OUTSTANDING_MAX. */
  readonly storing: number;
  /** How many were verified. */
  readonly stored: number;
  /** When it was last given something to do. */
  readonly permittedMs: number;
  /** When it last did something, or was given something to do after it had nothing. */
  readonly progressMs: number;
}

export interface ChunkOrigin {
  readonly peerId: PeerId;
  readonly attemptId: AttemptId;
  readonly streamId: number;
}

/** A set of chunks: the first of each run -> the one after its last. Runs neither overlap nor touch. */
export type Runs = SortedMap<number, number>;

export interface Run {
  readonly from: number;
  readonly count: number;
}

export const runOf = (from: number, count: number): Runs =>
  count === 0 ? SortedMap.empty() : SortedMap.from([[from, from + count]]);

export const chunksOf = ({ from, count }: Run): readonly number[] =>
  Array.from({ length: count }, (_, offset) => from + offset);

/** Adds one chunk that is not in the set. */
export function addChunk(runs: Runs, index: number): Runs {
  const before = runs.before(index);
  const from = before?.[1] === index ? before[0] : index;
  const after = runs.get(index + 1);
  const rest = after === undefined ? runs : runs.delete(index + 1);
  return rest.set(from, after ?? index + 1);
}

/** Takes the first run, `max` chunks of it at most. */
export function takeRun(runs: Runs, max: number): { readonly run: Run; readonly rest: Runs } | null {
  const first = runs.first();
  if (first === undefined || max <= 0) return null;
  const [from, to] = first;
  const count = Math.min(max, to - from);
  const others = runs.delete(from);
  return { run: { from, count }, rest: from + count < to ? others.set(from + count, to) : others };
}

/** How many chunks are in the set. Costs the number of its runs. */
export function chunksIn(runs: Runs): number {
  let chunks = 0;
  for (const [from, to] of runs.entries()) chunks += to - from;
  return chunks;
}

export const freshDownload = (root: Hash, startedMs: number): Download => ({
  root,
  startedMs,
  isActive: true,
  manifest: null,
  chunks: 0,
  missing: SortedMap.empty(),
  storing: SortedMap.empty(),
  stored: 0,
  storedBytes: 0,
  sources: SortedMap.empty(),
});
