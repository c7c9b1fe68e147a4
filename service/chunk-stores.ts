import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, rmSync, write } from "node:fs";
import { join } from "node:path";
import type { Hash } from "../core/ids.ts";
import { CHUNK_BYTES } from "../core/limits.ts";

/** Keeps the chunks of one stream, each at its place. */
export interface ChunkStore {
  /** Calls back once, later. False: there is no room for it. */
  readonly write: (index: number, data: Uint8Array, done: (isKept: boolean) => void) => void;
  /** Chunks that are here, each counted once. */
  readonly kept: () => number;
  /** The whole stream. Only once all chunks are here. @throws if it cannot be read */
  readonly bytes: () => Uint8Array;
  /** Idempotent. What is being written is given up. */
  readonly remove: () => void;
}

/** One buffer of the whole size; the system gives it memory as it is filled. @throws if it is too large */
export function createMemoryStore(size: number): ChunkStore {
  const buffer = Buffer.allocUnsafeSlow(size);
  const kept = new Set<number>();
  return {
    write: (index, data, done) => {
      buffer.set(data, index * CHUNK_BYTES);
      kept.add(index);
      queueMicrotask(() => done(true));
    },
    kept: () => kept.size,
    bytes: () => buffer,
    remove: () => undefined,
  };
}

/** One file of the whole size, which ends with `remove`. @throws Error of the file system */
export function createFileStore(directory: string, root: Hash, size: number): ChunkStore {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${root}.stream`);
  const file = openSync(path, "w+");
  ftruncateSync(file, size);
  const kept = new Set<number>();
  let writing = 0;
  let isRemoved = false;
  const closeWhenWritten = (): void => {
    if (isRemoved && writing === 0) closeSync(file);
  };
  return {
    write: (index, data, done) => {
      writing += 1;
      write(file, data, 0, data.length, index * CHUNK_BYTES, (error, written) => {
        writing -= 1;
        const isKept = error === null && written === data.length;
        if (isKept) kept.add(index);
        closeWhenWritten();
        done(isKept);
      });
    },
    kept: () => kept.size,
    bytes: () => readWhole(file, size),
    remove: () => {
      if (isRemoved) return;
      isRemoved = true;
      rmSync(path, { force: true });
      closeWhenWritten();
    },
  };
}

/** In parts: one read of Node.js takes 2 GiB at most. */
function readWhole(file: number, size: number): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(size);
  for (let at = 0; at < size; ) {
    const read = readSync(file, bytes, at, Math.min(READ_BYTES, size - at), at);
    if (read === 0) throw new Error(`a stream ends after ${at} of ${size} bytes`);
    at += read;
  }
  return bytes;
}

const READ_BYTES = 2 ** 26;
