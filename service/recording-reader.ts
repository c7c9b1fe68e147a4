import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { createGunzip } from "node:zlib";
import { parseLine, type RecordLine } from "../core/recording.ts";
import { messageOf } from "./error-code.ts";
import { RecordingError, segmentName } from "./recorder.ts";

export interface Position {
  readonly file: string;
  /** Counted from 1 in each file. */
  readonly line: number;
}

export type ReadLine =
  | { readonly tag: "line"; readonly line: RecordLine; readonly at: Position }
  /** The process ended while it wrote its last line: everything before is good. Nothing follows. */
  | { readonly tag: "torn"; readonly at: Position; readonly bytes: number };

/** The files of one recording, in order. */
export interface Recording {
  readonly path: string;
  readonly segments: readonly string[];
}

/**
 * The recordings at a path: a directory of segments, one segment file, or a directory of such directories.
 * @throws RecordingError if there is none, or if a segment is missing
 */
export function findRecordings(path: string): readonly Recording[] {
  if (!existsSync(path)) throw new RecordingError(`${path} does not exist`);
  if (!statSync(path).isDirectory()) return [{ path, segments: [path] }];
  const own = segmentsOf(path);
  if (own.length > 0) return [{ path, segments: own }];
  const inside = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ path: join(path, name), segments: segmentsOf(join(path, name)) }))
    .filter(({ segments }) => segments.length > 0);
  if (inside.length === 0) throw new RecordingError(`${path} holds no recording: no ${segmentName(0)}`);
  return inside.sort((a, b) => byNumbersInside(basename(a.path), basename(b.path)));
}

/**
 * The lines of a recording: the header first, then inputs and hashes. Holds one line at a time.
 * @throws RecordingError with file and line for everything that no recorder writes
 */
export async function* readRecording({ segments, path }: Recording): AsyncGenerator<ReadLine, void> {
  let isFirst = true;
  for (const [index, file] of segments.entries()) {
    for await (const { bytes, line, isComplete } of linesOf(file)) {
      const at = { file, line };
      if (!isComplete) {
        if (index < segments.length - 1) {
          throw new RecordingError(`${where(at)}: the line is torn, yet another segment follows`);
        }
        if (isFirst) throw new RecordingError(`${where(at)}: the header is torn, so nothing can be replayed`);
        yield { tag: "torn", at, bytes: bytes.length };
        return;
      }
      const parsed = parse(bytes, at);
      if (isFirst !== (parsed.tag === "header")) {
        throw new RecordingError(
          `${where(at)}: ${isFirst ? "the first line is not a header" : "a second header"}`,
        );
      }
      isFirst = false;
      yield { tag: "line", line: parsed, at };
    }
  }
  if (isFirst)
    throw new RecordingError(`${path} is empty: the recording ended before its header was written`);
}

export const where = ({ file, line }: Position): string => `${file}:${line}`;

const SEGMENT = /^(\d{6,})\.ndjson(\.gz)?$/;

/** A segment exists twice after a crash between its compression and its removal: then the original is read. */
function segmentsOf(directory: string): readonly string[] {
  const files = new Map<number, string>();
  for (const name of readdirSync(directory).sort().reverse()) {
    const [, number] = SEGMENT.exec(name) ?? [];
    if (number !== undefined) files.set(Number(number), join(directory, name));
  }
  const numbers = [...files.keys()].sort((a, b) => a - b);
  const missing = numbers.findIndex((number, index) => number !== index);
  if (missing >= 0)
    throw new RecordingError(`${directory} is incomplete: ${segmentName(missing)} is missing`);
  return numbers.map((number) => files.get(number) ?? "");
}

/** node-2 before node-10. */
function byNumbersInside(a: string, b: string): number {
  const [x, y] = [a, b].map((name) => name.replace(/\d+/g, (digits) => digits.padStart(12, "0"))) as [
    string,
    string,
  ];
  return x < y ? -1 : x > y ? 1 : 0;
}

interface RawLine {
  readonly bytes: Uint8Array;
  readonly line: number;
  readonly isComplete: boolean;
}

/** Far above any line of a recorder; a file without line ends must not fill the memory. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

async function* linesOf(file: string): AsyncGenerator<RawLine, void> {
  let line = 1;
  let parts: Uint8Array[] = [];
  let length = 0;
  const finish = (last: Uint8Array): Uint8Array => {
    const bytes = parts.length === 0 ? last : Buffer.concat([...parts, last]);
    parts = [];
    length = 0;
    return bytes;
  };
  try {
    for await (const chunk of chunksOf(file)) {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        yield { bytes: finish(chunk.subarray(start, end)), line, isComplete: true };
        line += 1;
        start = end + 1;
      }
      if (start === chunk.length) continue;
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > LINE_BYTES_MAX) {
        throw new RecordingError(`${where({ file, line })}: the line is longer than ${LINE_BYTES_MAX} bytes`);
      }
    }
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    throw new RecordingError(`${where({ file, line })}: cannot be read: ${messageOf(error)}`);
  }
  if (length > 0) yield { bytes: finish(new Uint8Array()), line, isComplete: false };
}

async function* chunksOf(file: string): AsyncGenerator<Uint8Array, void> {
  const raw = createReadStream(file);
  if (!file.endsWith(".gz")) {
    for await (const chunk of raw) yield chunk as Uint8Array;
    return;
  }
  const unzipped = createGunzip();
  raw.on("error", (error) => unzipped.destroy(error));
  try {
    for await (const chunk of raw.pipe(unzipped)) yield chunk as Uint8Array;
  } finally {
    raw.destroy();
  }
}

function parse(bytes: Uint8Array, at: Position): RecordLine {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RecordingError(`${where(at)}: is not UTF-8 text`);
  }
  try {
    return parseLine(text);
  } catch (error) {
    // The parser of JSON quotes what it read; one line of it is enough.
    throw new RecordingError(`${where(at)}: ${messageOf(error).replaceAll(/\s+/g, " ").slice(0, 200)}`);
  }
}
