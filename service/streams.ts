import { rmSync } from "node:fs";
import type { StreamEvent } from "../core/actions.ts";
import type { Manifest } from "../core/channels/streaming-rpc.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import { CHUNK_BYTES } from "../core/limits.ts";
import type { ChunkOutcome, LoadedChunk, Provider, ReceivedChunk, Streams } from "../core/services.ts";
import { chunkCount } from "../core/stream.ts";
import { type ChunkStore, createFileStore, createMemoryStore } from "./chunk-stores.ts";
import { createServedRoots, type RootUser, type ServedData } from "./served-roots.ts";
import type { SharedThread } from "./shared-thread.ts";
import { type ChunkVerifier, createChunkVerifier } from "./stream-verifier.ts";

export interface StreamsOptions {
  /** Called once for each event, always later, never from within a method. */
  readonly emit: (event: StreamEvent) => void;
  /** What can be served now; null if it is not kept. */
  readonly provide: (root: Hash) => Provider | null;
  /** Where chunks wait for the turn of the peer they are for. */
  readonly serving: SharedThread<AttemptId>;
  /** What is received is kept in files in this directory, which nobody else uses; null: in memory. */
  readonly directory: string | null;
}

export interface NodeStreams extends Streams {
  /** Everything that was received of this root, until it is discarded; null if a chunk is missing. */
  received(root: Hash): Uint8Array | null;
  /** Removes everything that was received. */
  release(): void;
}

/** An open stream. Its data is there as soon as `event/streamOpened` was emitted. */
interface Open extends RootUser {
  readonly root: Hash;
  data: ServedData | null;
}

interface ReceivedStream {
  readonly manifest: Manifest;
  readonly verify: ChunkVerifier;
  /** Null as long as nothing was worth keeping. */
  store: ChunkStore | null;
}

/** Streams of a node: hashed by OpenSSL, served from the owners of the data, received into one piece. */
export function createStreams({ emit, provide, serving, directory }: StreamsOptions): NodeStreams {
  const roots = createServedRoots({ provide, serving });
  const streams = new Map<string, Open>();
  const downloads = new Map<Hash, ReceivedStream>();
  // What an earlier process has left behind.
  if (directory !== null) rmSync(directory, { recursive: true, force: true });

  const open: Streams["open"] = (attemptId, streamId, root) => {
    const name = nameOf(attemptId, streamId);
    const found = (data: ServedData | null): void => {
      // The peer may not have waited.
      if (streams.get(name) !== stream) return;
      stream.data = data;
      if (data === null) streams.delete(name);
      emit({ type: "event/streamOpened", attemptId, streamId, manifest: data?.tree.manifest ?? null });
    };
    const stream: Open = { attemptId, root, found, data: null };
    streams.set(name, stream);
    roots.enter(root, stream);
  };

  const close: Streams["close"] = (attemptId, streamId) => {
    const name = nameOf(attemptId, streamId);
    const stream = streams.get(name);
    if (stream === undefined) return;
    streams.delete(name);
    stream.data = null;
    roots.leave(stream.root, stream);
  };

  /** What it is kept in is made with its first chunk. */
  const downloadOf = ({ root, manifest }: ReceivedChunk): ReceivedStream => {
    const known = downloads.get(root);
    if (known !== undefined) return known;
    const download = { manifest, verify: createChunkVerifier(manifest), store: null };
    downloads.set(root, download);
    return download;
  };

  const keep = (chunk: ReceivedChunk, done: (outcome: ChunkOutcome) => void): void => {
    const download = downloadOf(chunk);
    const { root, index, data } = chunk;
    if (!download.verify(index, chunk)) {
      queueMicrotask(() => done("invalid"));
      return;
    }
    try {
      const size = Number(download.manifest.size);
      download.store ??=
        directory === null ? createMemoryStore(size) : createFileStore(directory, root, size);
      download.store.write(index, data, (isKept) => done(isKept ? "stored" : "failed"));
    } catch {
      queueMicrotask(() => done("failed"));
    }
  };

  const discard: Streams["discard"] = (root) => {
    downloads.get(root)?.store?.remove();
    downloads.delete(root);
  };

  return {
    open,
    close,
    loadChunk: (attemptId, streamId, _root, index) => {
      const stream = streams.get(nameOf(attemptId, streamId));
      serving.add(attemptId, CHUNK_BYTES, () => {
        const chunk = stream === undefined ? null : load(stream, index);
        emit({ type: "event/chunkLoaded", attemptId, streamId, index, chunk });
      });
    },
    storeChunk: (attemptId, streamId, chunk) => {
      const { root, index } = chunk;
      keep(chunk, (outcome) =>
        emit({ type: "event/chunkStored", attemptId, streamId, root, index, outcome }),
      );
    },
    discard,
    received: (root) => {
      const download = downloads.get(root);
      const store = download?.store ?? null;
      if (download === undefined || store === null) return null;
      return store.kept() === chunkCount(download.manifest.size) ? store.bytes() : null;
    },
    release: () => {
      for (const root of [...downloads.keys()]) discard(root);
    },
  };
}

/** The data of a contiguous stream as something to serve; chunks are views of it. */
export const providerOf = (bytes: Uint8Array): Provider => ({
  size: bytes.length,
  read: (index) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
});

const nameOf = (attemptId: AttemptId, streamId: number): string => `${attemptId} ${streamId}`;

function load({ data }: Open, index: number): LoadedChunk | null {
  try {
    return data === null ? null : { data: data.provider.read(index), proof: data.tree.proofOf(index) };
  } catch {
    return null;
  }
}
