import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  openSync,
  readdirSync,
  type WriteStream,
} from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { finished, pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Input } from "../core/actions.ts";
import { formatLine, HASH_EVERY, hashLine, RECORDING_FORMAT, type RecordLine } from "../core/recording.ts";
import type { State } from "../core/state.ts";
import { messageOf } from "./error-code.ts";
import { VERSION } from "./version.ts";

/** A segment that has this many bytes is closed, compressed, and followed by the next. */
const SEGMENT_BYTES = 64 * 1024 * 1024;
/** When the disk is this far behind, recording ends: it must never grow the node. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

export const segmentName = (index: number): string => `${index.toString().padStart(6, "0")}.ndjson`;

export interface Recorder {
  /** @param after the state the input led to; null for the last input of all, which met a bug */
  readonly record: (input: Input, timeMs: number, after: State | null) => void;
  /** Ends with the hash of the last state. Everything is with the operating system then; never rejects. */
  readonly close: () => Promise<void>;
}

export interface RecorderOptions {
  readonly directory: string;
  readonly initial: State;
  /** Recording has ended before the node did, and why. */
  readonly onStop: (reason: string) => void;
  readonly segmentBytes?: number;
  readonly backlogBytesMax?: number;
}

export class RecordingError extends Error {
  override readonly name = "RecordingError";
}

/**
 * Writes a recording (core/recording.ts) in the background. Never blocks a step and never throws into one.
 * @throws RecordingError if the directory holds something already or cannot be made
 */
export function createRecorder({
  directory,
  initial,
  onStop,
  segmentBytes = SEGMENT_BYTES,
  backlogBytesMax = BACKLOG_BYTES_MAX,
}: RecorderOptions): Recorder {
  let index = 0;
  let segmentWritten = 0;
  /** Bytes of all segments that the disk has not taken yet: a segment that was closed still counts. */
  let backlog = 0;
  let isStopped = false;
  let inputs = 0;
  let hashed = 0;
  let last = initial;
  const endings: Promise<void>[] = [];
  let stream = watch(createWriteStream("", { fd: openFirst(directory) }));

  function watch(opened: WriteStream): WriteStream {
    opened.on("error", (error) => stop(`cannot write the recording: ${error.message}`));
    return opened;
  }

  function stop(reason: string): void {
    if (isStopped) return;
    isStopped = true;
    endings.push(endOf(stream).then(() => undefined));
    onStop(reason);
  }

  function write(line: RecordLine): void {
    const bytes = Buffer.from(`${formatLine(line)}\n`);
    segmentWritten += bytes.length;
    backlog += bytes.length;
    stream.write(bytes, () => {
      backlog -= bytes.length;
    });
  }

  function writeHash(): void {
    hashed = inputs;
    write(hashLine(last, inputs));
  }

  function rotate(): void {
    const path = join(directory, segmentName(index));
    endings.push(endOf(stream).then((isWhole) => (isWhole ? compress(path) : undefined)));
    index += 1;
    segmentWritten = 0;
    stream = watch(createWriteStream(join(directory, segmentName(index)), { flags: "wx", mode: FILE_MODE }));
  }

  write({ tag: "header", format: RECORDING_FORMAT, version: VERSION, state: initial });
  return {
    record: (input, timeMs, after) => {
      if (isStopped) return;
      inputs += 1;
      write({ tag: "input", timeMs, input });
      if (after === null) {
        hashed = inputs;
        return;
      }
      last = after;
      if (inputs % HASH_EVERY === 0) writeHash();
      if (backlog > backlogBytesMax) stop("the disk is slower than the node");
      else if (segmentWritten >= segmentBytes) rotate();
    },
    close: async () => {
      if (!isStopped) {
        isStopped = true;
        if (hashed < inputs) writeHash();
        endings.push(endOf(stream).then(() => undefined));
      }
      await Promise.all(endings);
    },
  };
}

/** Recordings tell everything a node has seen: for its owner only. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** What is wrong with the directory shows at the start of the node, not later. */
function openFirst(directory: string): number {
  try {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
    if (readdirSync(directory).length === 0) {
      return openSync(join(directory, segmentName(0)), "wx", FILE_MODE);
    }
  } catch (error) {
    throw new RecordingError(`cannot record to ${directory}: ${messageOf(error)}`);
  }
  throw new RecordingError(`${directory} is not empty; choose a new directory for this recording`);
}

/** Ends a stream. @returns whether all of it was written; what went wrong is told by its `error` event */
async function endOf(stream: WriteStream): Promise<boolean> {
  stream.end();
  try {
    await finished(stream);
    return true;
  } catch {
    return false;
  }
}

/** The compressed file has its name only when it is complete. If that fails, the original stays and is as good. */
async function compress(path: string): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await pipeline(
      createReadStream(path),
      createGzip(),
      createWriteStream(partial, { flags: "wx", mode: FILE_MODE }),
    );
    await rename(partial, `${path}.gz`);
    await rm(path);
  } catch {
    await rm(partial, { force: true }).catch(() => undefined);
  }
}
