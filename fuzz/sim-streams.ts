import type { Manifest } from "../core/channels/streaming-rpc.ts";
import { leafHashes } from "../core/hash.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import { CHUNK_BYTES } from "../core/limits.ts";
import type { Streams } from "../core/services.ts";
import { chunkCount, createTree, merkleRootOf, proofOf, type Tree, verifyChunk } from "../core/stream.ts";
import type { Give, Later } from "./sim-host.ts";

export interface SimStreams extends Streams {
  /** Everything that was received of this root, until it is discarded; null if a chunk is missing. */
  received(root: Hash): Uint8Array | null;
  /** Streams that peers are served, and roots of which something is kept: what may leak. */
  readonly held: () => { readonly streams: number; readonly roots: number };
}

interface Content {
  readonly bytes: Uint8Array;
  readonly tree: Tree;
}

interface Received {
  readonly manifest: Manifest;
  readonly chunks: Map<number, Uint8Array>;
}

/** The Streams of a simulated process: the contract of service/streams.ts with the hash of the core. */
export function createStreams(
  later: Later,
  give: Give,
  provide: (root: Hash) => Uint8Array | null,
): SimStreams {
  const streams = new Map<string, Content>();
  const roots = new Map<Hash, Received>();
  return {
    open: (attemptId, streamId, root) => {
      const bytes = provide(root);
      const content = bytes === null ? null : { bytes, tree: createTree(leafHashes(bytes)) };
      if (content !== null) streams.set(nameOf(attemptId, streamId), content);
      const manifest = content && {
        size: BigInt(content.bytes.length),
        merkleRoot: merkleRootOf(content.tree),
      };
      later(() => give({ type: "event/streamOpened", attemptId, streamId, manifest }));
    },
    loadChunk: (attemptId, streamId, _root, index) => {
      const content = streams.get(nameOf(attemptId, streamId));
      const chunk = content === undefined ? null : chunkOf(content, index);
      later(() => give({ type: "event/chunkLoaded", attemptId, streamId, index, chunk }));
    },
    close: (attemptId, streamId) => {
      streams.delete(nameOf(attemptId, streamId));
    },
    storeChunk: (attemptId, streamId, { root, manifest, index, data, proof }) => {
      const isValid = verifyChunk(manifest, index, data, proof);
      if (isValid) {
        const received = roots.get(root) ?? { manifest, chunks: new Map() };
        roots.set(root, received);
        received.chunks.set(index, data);
      }
      const outcome = isValid ? "stored" : "invalid";
      later(() => give({ type: "event/chunkStored", attemptId, streamId, root, index, outcome }));
    },
    discard: (root) => {
      roots.delete(root);
    },
    received: (root) => {
      const received = roots.get(root);
      return received === undefined ? null : joined(received);
    },
    held: () => ({ streams: streams.size, roots: roots.size }),
  };
}

const nameOf = (attemptId: AttemptId, streamId: number): string => `${attemptId} ${streamId}`;

const chunkOf = ({ bytes, tree }: Content, index: number) => ({
  data: bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  proof: proofOf(tree, index),
});

function joined({ manifest, chunks }: Received): Uint8Array | null {
  if (chunks.size < chunkCount(manifest.size)) return null;
  const bytes = new Uint8Array(Number(manifest.size));
  for (const [index, data] of chunks) bytes.set(data, index * CHUNK_BYTES);
  return bytes;
}
