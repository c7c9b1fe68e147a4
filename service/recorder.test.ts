import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { parseLine } from "../core/recording.ts";
import { stateHash } from "../core/state-hash.ts";
import { createRecorder, RecordingError } from "./recorder.ts";
import { initial, record, run, scratch } from "./recording.fixture.ts";

const ignore = (): void => undefined;

test("recorder: the header comes first, then each input, a hash after every 100 and one at the end", async () => {
  const directory = scratch();
  const last = await record(directory, 125);
  const lines = readFileSync(join(directory, "000000.ndjson"), "utf8").trimEnd().split("\n").map(parseLine);
  const hashes = lines.flatMap((line) => (line.tag === "hash" ? [line.inputs] : []));
  expect(lines[0]?.tag).toBe("header");
  expect(lines.filter(({ tag }) => tag === "input")).toHaveLength(250);
  expect(hashes).toEqual([100, 200, 250]);
  expect(lines.at(-1)).toMatchObject({ stateHash: stateHash(last) });
});

test("recorder: at the end no hash is written twice", async () => {
  const directory = scratch();
  await record(directory, 50);
  expect(readFileSync(join(directory, "000000.ndjson"), "utf8").match(/"after":100/g)).toHaveLength(1);
});

test("recorder: a full segment is compressed and the next one begun, and nothing is lost between", async () => {
  const directory = scratch();
  const whole = scratch();
  await record(directory, 300, { segmentBytes: 20_000 });
  await record(whole, 300);
  const names = readdirSync(directory).sort();
  expect(names.length).toBeGreaterThan(3);
  const last = names.length - 1;
  expect(names).toEqual(names.map((_, index) => `00000${index}.ndjson${index === last ? "" : ".gz"}`));
  const text = names.map((name) => {
    const bytes = readFileSync(join(directory, name));
    return (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  });
  expect(text.join("")).toBe(readFileSync(join(whole, "000000.ndjson"), "utf8"));
  for (const each of text) expect(each.endsWith("\n")).toBe(true);
});

test("recorder: files and directory are for their owner only", async () => {
  const directory = join(scratch(), "new");
  await record(directory, 100, { segmentBytes: 20_000 });
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
});

// Within one synchronous run the disk takes nothing at all: as slow as a disk can be.
test("recorder: when the disk is slower than the node, recording ends cleanly and says so", async () => {
  const directory = scratch();
  const reasons: string[] = [];
  const onStop = (reason: string): void => {
    reasons.push(reason);
  };
  await record(directory, 1_000, { backlogBytesMax: 50_000, onStop });
  expect(reasons).toEqual(["the disk is slower than the node"]);
  const text = readFileSync(join(directory, "000000.ndjson"), "utf8");
  expect(text.length).toBeLessThan(60_000);
  expect(text.endsWith("\n")).toBe(true);
});

test("recorder: what older segments have not written counts into the backlog", async () => {
  const directory = scratch();
  const reasons: string[] = [];
  const onStop = (reason: string): void => {
    reasons.push(reason);
  };
  await record(directory, 1_000, { segmentBytes: 10_000, backlogBytesMax: 50_000, onStop });
  expect(reasons).toEqual(["the disk is slower than the node"]);
  expect(readdirSync(directory).length).toBeLessThan(7);
});

test("recorder: a disk that fails ends the recording once and nothing else", async () => {
  const directory = join(scratch(), "gone");
  const reasons: string[] = [];
  const onStop = (reason: string): void => {
    reasons.push(reason);
  };
  const recorder = createRecorder({ directory, initial, onStop, segmentBytes: 5_000 });
  rmSync(directory, { recursive: true });
  for (const { input, timeMs, after } of run(100)) {
    recorder.record(input, timeMs, after);
    if (reasons.length === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await recorder.close();
  expect(reasons).toHaveLength(1);
  expect(reasons[0]).toMatch(/^cannot write the recording: ENOENT/);
});

test("recorder: a segment that cannot be compressed stays as it is", async () => {
  const directory = scratch();
  const recorder = createRecorder({ directory, initial, onStop: ignore, segmentBytes: 20_000 });
  mkdirSync(join(directory, "000000.ndjson.partial"));
  for (const { input, timeMs, after } of run(60)) recorder.record(input, timeMs, after);
  await recorder.close();
  expect(existsSync(join(directory, "000000.ndjson"))).toBe(true);
  expect(existsSync(join(directory, "000000.ndjson.gz"))).toBe(false);
});

test("recorder: a directory that holds something, or cannot be made, is refused at once", () => {
  const occupied = scratch();
  writeFileSync(join(occupied, "file"), "");
  const refused = (directory: string): void => {
    createRecorder({ directory, initial, onStop: ignore });
  };
  expect(() => refused(occupied)).toThrow(RecordingError);
  expect(() => refused(occupied)).toThrow(/is not empty/);
  expect(() => refused(join(occupied, "file"))).toThrow(RecordingError);
  expect(() => refused(join(occupied, "file", "below"))).toThrow(/cannot record to/);
  expect(readdirSync(occupied)).toEqual(["file"]);
});

test("recorder: closing twice, and recording after it, do nothing", async () => {
  const directory = scratch();
  const recorder = createRecorder({ directory, initial, onStop: ignore });
  const [first] = run(1);
  await Promise.all([recorder.close(), recorder.close()]);
  if (first !== undefined) recorder.record(first.input, first.timeMs, first.after);
  await recorder.close();
  expect(readFileSync(join(directory, "000000.ndjson"), "utf8").split("\n")).toHaveLength(2);
});
