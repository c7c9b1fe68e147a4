import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { stateHash } from "../core/state-hash.ts";
import { createReplay, type Replay } from "../reducers/replay.ts";
import { RecordingError } from "./recorder.ts";
import { record, scratch } from "./recording.fixture.ts";
import { findRecordings, readRecording } from "./recording-reader.ts";

type Outcome =
  | { readonly tag: "replayed"; readonly hash: string; readonly inputs: number; readonly torn: boolean }
  | { readonly tag: "differs" }
  | { readonly tag: "error"; readonly message: string }
  | { readonly tag: "coreFailed" };

/** Replays a recording, whatever it is. Throws only what the reader must never throw. */
async function replay(path: string): Promise<Outcome> {
  let core: Replay | undefined;
  let torn = false;
  try {
    const [recording] = findRecordings(path);
    if (recording === undefined) throw new Error("findRecordings returns at least one");
    for await (const read of readRecording(recording)) {
      if (read.tag === "torn") torn = true;
      else if (read.line.tag === "header") core = createReplay(read.line);
      else {
        try {
          if (core?.feed(read.line).tag === "differs") return { tag: "differs" };
        } catch {
          return { tag: "coreFailed" };
        }
      }
    }
  } catch (error) {
    if (error instanceof RecordingError) return { tag: "error", message: error.message };
    throw error;
  }
  if (core === undefined) throw new Error("a recording without an error has a header");
  return { tag: "replayed", hash: stateHash(core.state()), inputs: core.inputs(), torn };
}

const SEGMENT = "000000.ndjson";

/** A recording of 4 inputs in one file. */
async function small(): Promise<{ directory: string; file: string; bytes: Buffer; hash: string }> {
  const directory = scratch();
  const hash = stateHash(await record(directory, 2));
  const file = join(directory, SEGMENT);
  return { directory, file, bytes: readFileSync(file), hash };
}

/** Each writes and reads some hundred files: on a machine whose disk is busy that takes ten times as long. */
const MANY_FILES_MS = 180_000;

describe("recording reader: what is whole", () => {
  test("recording reader: compressed and plain segments are one recording", async () => {
    const directory = scratch();
    const last = await record(directory, 300, { segmentBytes: 20_000 });
    expect(await replay(directory)).toEqual({
      tag: "replayed",
      hash: stateHash(last),
      inputs: 600,
      torn: false,
    });
  });

  test("recording reader: after a crash between compressing and removing, the original is read", async () => {
    const { directory, file, bytes, hash } = await small();
    writeFileSync(`${file}.gz`, gzipSync(bytes).subarray(0, 50));
    writeFileSync(`${file}.partial`, "rest of an earlier attempt");
    expect(await replay(directory)).toMatchObject({ tag: "replayed", hash });
  });

  test("recording reader: a single file is a recording too", async () => {
    const { file, hash } = await small();
    expect(await replay(file)).toMatchObject({ tag: "replayed", hash });
  });

  test("recording reader: several recordings in a directory are found in the order of their numbers", async () => {
    const directory = scratch();
    for (const number of [10, 2, 1]) await record(join(directory, `node-${number}`), 1);
    mkdirSync(join(directory, "other"));
    expect(findRecordings(directory).map(({ path }) => path)).toEqual(
      [1, 2, 10].map((number) => join(directory, `node-${number}`)),
    );
  });
});

describe("recording reader: what a crash leaves", () => {
  test(
    "P29: cut at any byte, a recording replays up to there or has a torn header",
    async () => {
      const { directory, file, bytes, hash } = await small();
      const headerEnd = bytes.indexOf("\n") + 1;
      for (let length = 0; length < bytes.length; length++) {
        // Each byte around the ends of lines, and in the last line; of what lies between, some.
        const isNear = [headerEnd, bytes.length - 100].some((at) => Math.abs(length - at) < 100);
        if (!isNear && length % 211 !== 0) continue;
        writeFileSync(file, bytes.subarray(0, length));
        const outcome = await replay(directory);
        if (length < headerEnd) expect(outcome.tag, `cut at ${length}`).toBe("error");
        else {
          const torn = bytes[length - 1] !== 0x0a;
          expect(outcome, `cut at ${length}`).toMatchObject({ tag: "replayed", torn });
        }
      }
      writeFileSync(file, bytes);
      expect(await replay(directory)).toMatchObject({ tag: "replayed", hash, torn: false });
    },
    MANY_FILES_MS,
  );

  test("recording reader: zeros at the end, as a power cut leaves them, are a torn line", async () => {
    const { directory, file } = await small();
    appendFileSync(file, Buffer.alloc(512));
    expect(await replay(directory)).toMatchObject({ tag: "replayed", inputs: 4, torn: true });
  });

  test("recording reader: an empty last segment is no damage", async () => {
    const { directory } = await small();
    writeFileSync(join(directory, "000001.ndjson"), "");
    expect(await replay(directory)).toMatchObject({ tag: "replayed", inputs: 4, torn: false });
  });
});

describe("recording reader: what is damaged", () => {
  test(
    "P29: a flipped bit is found, unless the state does not depend on it",
    async () => {
      const { directory, file, bytes, hash } = await small();
      const outcomes = new Map<string, number>();
      for (let offset = 0; offset < bytes.length; offset += 17) {
        const flipped = Buffer.from(bytes);
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 7));
        writeFileSync(file, flipped);
        const outcome = await replay(directory);
        outcomes.set(outcome.tag, (outcomes.get(outcome.tag) ?? 0) + 1);
        if (outcome.tag === "replayed" && !outcome.torn) {
          expect(outcome.hash, `bit of byte ${offset} flipped`).toBe(hash);
        }
      }
      expect(outcomes.get("error")).toBeGreaterThan(0);
      expect(outcomes.get("differs")).toBeGreaterThan(0);
    },
    MANY_FILES_MS,
  );

  const damages: Readonly<Record<string, [(directory: string, file: string) => void, RegExp]>> = {
    "a missing segment": [
      (directory, file) => renameSync(file, join(directory, "000001.ndjson")),
      /is incomplete: 000000\.ndjson is missing$/,
    ],
    "an empty directory": [(_directory, file) => rmSync(file), /holds no recording/],
    "an empty file": [(_directory, file) => writeFileSync(file, ""), /is empty/],
    "a line of garbage": [
      (_directory, file) => appendFileSync(file, "garbage\n"),
      /000000\.ndjson:7: .*JSON/,
    ],
    "JSON that is no line of a recording": [
      (_directory, file) => appendFileSync(file, "[1]\n"),
      /000000\.ndjson:7: is not an object$/,
    ],
    "a byte that is no text": [
      (_directory, file) => appendFileSync(file, Buffer.from([0x22, 0xff, 0x22, 0x0a])),
      /000000\.ndjson:7: is not UTF-8 text$/,
    ],
    "another format": [
      (_directory, file) =>
        writeFileSync(file, readFileSync(file, "utf8").replace('"pollen":1', '"pollen":2')),
      /000000\.ndjson:1: has format 2, this version reads 1$/,
    ],
    "a second header": [
      (_directory, file) => appendFileSync(file, `${readFileSync(file, "utf8").split("\n")[0]}\n`),
      /000000\.ndjson:7: a second header$/,
    ],
    "no header": [
      (_directory, file) => writeFileSync(file, readFileSync(file, "utf8").replace(/^.*\n/, "")),
      /000000\.ndjson:1: the first line is not a header$/,
    ],
    "a torn line before another segment": [
      (directory, file) => {
        appendFileSync(file, '{"t":');
        writeFileSync(join(directory, "000001.ndjson"), "");
      },
      /000000\.ndjson:7: the line is torn, yet another segment follows$/,
    ],
    "a compressed segment that is cut": [
      (_directory, file) => {
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)).subarray(0, -20));
        rmSync(file);
      },
      /000000\.ndjson\.gz:\d+: cannot be read: unexpected end of file$/,
    ],
    "a compressed segment that is none": [
      (_directory, file) => {
        writeFileSync(`${file}.gz`, "plain text");
        rmSync(file);
      },
      /000000\.ndjson\.gz:1: cannot be read: incorrect header check$/,
    ],
    "a segment that is a directory": [
      (_directory, file) => {
        rmSync(file);
        mkdirSync(file);
      },
      /000000\.ndjson:1: cannot be read: EISDIR/,
    ],
  };

  test.each(Object.entries(damages))(
    "recording reader: %s is told with its place",
    async (_name, [damage, told]) => {
      const { directory, file } = await small();
      damage(directory, file);
      const outcome = await replay(directory);
      expect(outcome.tag).toBe("error");
      expect(outcome.tag === "error" ? outcome.message : "").toMatch(told);
      expect(outcome.tag === "error" ? outcome.message : "").not.toContain("\n");
    },
  );

  test("recording reader: what does not exist is said to", () => {
    expect(() => findRecordings(join(scratch(), "nowhere"))).toThrow(/nowhere does not exist$/);
  });
});
