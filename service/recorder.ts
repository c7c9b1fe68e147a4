import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  type WriteStream,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Input } from "../core/actions.ts";
import { formatLine, HASH_EVERY, hashLine, RECORDING_FORMAT, type RecordLine } from "../core/recording.ts";
import type { State } from "../core/state.ts";
import { VERSION } from "./version.ts";

/** A segment that has this many bytes is closed, compressed, and followed by the next. */
const SEGMENT_BYTES = 64 * 1024 * 1024;
/** When the disk is this far behind, recording ends: it must never grow the node. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

export const segmentName = (index: number): string => `${index.toString().padStart(6, "0")}.ndjson`;

export interface Recorder {
  readonly record: (input: Input, timeMs: number, after: State) => void;
  /** Everything written is on its way to the disk. */
  readonly close: () => Promise<void>;
}

export interface RecorderOptions {
  readonly directory: string;
  readonly initial: State;
  /** Recording has ended before the node did, and why. */
  readonly onStop: (reason: string) => void;
  readonly segmentBytes?: number;
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
}: RecorderOptions): Recorder {
  prepare(directory);
  let index = 0;
  let inputs = 0;
  let written = 0;
  let isStopped = false;
  const compressions: Promise<void>[] = [];
  let stream = open(0);

  function open(segment: number): WriteStream {
    const opened = createWriteStream(join(directory, segmentName(segment)), { flags: "wx", mode: 0o600 });
    opened.on("error", (error) => stop(`cannot write the recording: ${error.message}`));
    return opened;
  }

  function stop(reason: string): void {
    if (isStopped) return;
    isStopped = true;
    stream.end();
    onStop(reason);
  }

  function write(line: RecordLine): void {
    const text = `${formatLine(line)}\n`;
    written += text.length;
    stream.write(text);
    if (stream.writableLength > BACKLOG_BYTES_MAX) stop("the disk is slower than the node");
  }

  function rotate(): void {
    const path = join(directory, segmentName(index));
    const full = stream;
    compressions.push(
      new Promise<void>((resolve) => full.end(resolve))
        .then(() => compress(path))
        .catch((error: unknown) => stop(`cannot compress ${path}: ${String(error)}`)),
    );
    index += 1;
    written = 0;
    stream = open(index);
  }

  write({ tag: "header", format: RECORDING_FORMAT, version: VERSION, state: initial });
  return {
    record: (input, timeMs, after) => {
      if (isStopped) return;
      inputs += 1;
      write({ tag: "input", timeMs, input });
      if (inputs % HASH_EVERY === 0) write(hashLine(after, inputs));
      if (written >= segmentBytes) rotate();
    },
    close: async () => {
      if (!isStopped) {
        isStopped = true;
        await new Promise<void>((resolve) => stream.end(resolve));
      }
      await Promise.all(compressions);
    },
  };
}

function prepare(directory: string): void {
  if (existsSync(directory) && readdirSync(directory).length > 0) {
    throw new RecordingError(`${directory} is not empty; choose a new directory for this recording`);
  }
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new RecordingError(
      `cannot create ${directory}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function compress(path: string): Promise<void> {
  await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz`, { mode: 0o600 }));
  rmSync(path);
}
