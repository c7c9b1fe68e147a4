import { rmSync } from "node:fs";
import type { StreamEvent } from "../core/actions.ts";
import type { Manifest } from "../core/channels/streaming-rpc.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import { CHUNK_BYTES, STREAM_TREES_MAX } from "../core/limits.ts";
import type { ChunkOutcome, LoadedChunk, Provider, ReceivedChunk, Streams } from "../core/services.ts";
import { chunkCount, verifyManifest } from "../core/stream.ts";
import { type ChunkStore, createFileStore, createMemoryStore } from "./chunk-stores.ts";
import type { SharedThread } from "./shared-thread.ts";
import { createServedTree, nativeHash, type ServedTree } from "./stream-tree.ts";
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

/** The tree of one root, for any number of peers. Nothing here keeps the data itself. */
interface Served {
  /** Null if what was provided turned out to be something else, or could not be read. */
  readonly tree: Promise<ServedTree | null>;
  users: number;
}

/** An open stream: its tree is there as soon as `event/streamOpened` was emitted. */
interface Open {
  readonly provider: Provider;
  readonly served: Served;
  tree: ServedTree | null;
}

interface ReceivedStream {
  readonly manifest: Manifest;
  readonly verify: ChunkVerifier;
  /** Null as long as nothing was worth keeping. */
  store: ChunkStore | null;
}

/** Streams of a node: hashed by OpenSSL, served from the owners of the data, received into one piece. */
export function createStreams({ emit, provide, serving, directory }: StreamsOptions): NodeStreams {
  const trees = new Map<Hash, Served>();
  const streams = new Map<string, Open>();
  const downloads = new Map<Hash, ReceivedStream>();
  // What an earlier process has left behind.
  if (directory !== null) rmSync(directory, { recursive: true, force: true });

  /** A root that is served already, or was lately, is not hashed again; what is in nobody's use is forgotten first. */
  const serve = (root: Hash, provider: Provider): Served => {
    const served = trees.get(root) ?? { tree: treeOf(root, provider), users: 0 };
    trees.delete(root);
    trees.set(root, served);
    for (const [other, { users }] of trees) {
      if (trees.size <= STREAM_TREES_MAX) break;
      if (users === 0 && other !== root) trees.delete(other);
    }
    return served;
  };

  const open: Streams["open"] = (attemptId, streamId, root) => {
    const opened = (tree: ServedTree | null): void =>
      emit({ type: "event/streamOpened", attemptId, streamId, manifest: tree?.manifest ?? null });
    const provider = provide(root);
    if (provider === null) {
      queueMicrotask(() => opened(null));
      return;
    }
    const served = serve(root, provider);
    served.users += 1;
    const stream: Open = { provider, served, tree: null };
    streams.set(nameOf(attemptId, streamId), stream);
    // Outside of the promise: an error thrown by the core must reach the composition root.
    void served.tree.then((tree) => setImmediate(() => finishOpening(tree)));
    const finishOpening = (tree: ServedTree | null): void => {
      // The peer may not have waited.
      if (streams.get(nameOf(attemptId, streamId)) !== stream) return;
      stream.tree = tree;
      if (tree === null) {
        close(attemptId, streamId);
        trees.delete(root);
      }
      opened(tree);
    };
  };

  const close: Streams["close"] = (attemptId, streamId) => {
    const stream = streams.get(nameOf(attemptId, streamId));
    if (stream === undefined) return;
    stream.served.users -= 1;
    streams.delete(nameOf(attemptId, streamId));
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

/** Serving what does not hash to its root would be our own violation. */
async function treeOf(root: Hash, provider: Provider): Promise<ServedTree | null> {
  try {
    const tree = await createServedTree(provider, chunkCount(BigInt(provider.size)));
    return verifyManifest(root, tree.manifest, nativeHash) ? tree : null;
  } catch {
    return null;
  }
}

function load({ provider, tree }: Open, index: number): LoadedChunk | null {
  try {
    return tree === null ? null : { data: provider.read(index), proof: tree.proofOf(index) };
  } catch {
    return null;
  }
}
