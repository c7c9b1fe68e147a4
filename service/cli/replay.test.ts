import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { toJson } from "../../core/plain.ts";
import { stateHash } from "../../core/state-hash.ts";
import { initial, record, run, scratch } from "../recording.fixture.ts";
import { UserError } from "./errors.ts";
import { type ReplayOptions, replayAll } from "./replay.ts";

interface Ran {
  readonly printed: readonly string[];
  readonly noted: readonly string[];
  readonly error: string | null;
}

async function replay(path: string, options: ReplayOptions = {}): Promise<Ran> {
  const printed: string[] = [];
  const noted: string[] = [];
  const print = async (text: string): Promise<void> => {
    printed.push(text);
  };
  try {
    await replayAll(path, options, { print, note: (text) => noted.push(text) });
  } catch (error) {
    if (error instanceof UserError) return { printed, noted, error: error.message };
    throw error;
  }
  return { printed, noted, error: null };
}

/** Changes the text of the recording, as if something else had been recorded. */
function edit(directory: string, change: (text: string) => string): void {
  const file = join(directory, "000000.ndjson");
  const text = readFileSync(file, "utf8");
  const changed = change(text);
  expect(changed).not.toBe(text);
  writeFileSync(file, changed);
}

test("replay: tells how many inputs and hashes, and the hash of the last state", async () => {
  const directory = scratch();
  const last = await record(directory, 625);
  expect(await replay(directory)).toEqual({
    printed: [`replayed 1,250 inputs, 13 hashes equal, final state hash ${stateHash(last)}`],
    // On a busy machine it tells its progress.
    noted: expect.any(Array),
    error: null,
  });
});

test("replay: a torn tail and inputs without a hash are told", async () => {
  const directory = scratch();
  await record(directory, 60);
  edit(directory, (text) => text.slice(0, text.indexOf('{"after":120') + 10));
  const { printed, error } = await replay(directory);
  expect(error).toBeNull();
  expect(printed[0]).toMatch(/^replayed 120 inputs, 1 hash equal/);
  expect(printed[1]).toMatch(/^the last line is torn after 10 bytes \(.*000000\.ndjson:123\)/);
  expect(printed[2]).toBe("no hash follows the last 20 inputs: they are reproduced, not compared");
});

test("replay: --until stops there, after the hash that belongs to it", async () => {
  const directory = scratch();
  await record(directory, 100);
  expect((await replay(directory, { until: 100 })).printed).toEqual([
    expect.stringMatching(/^replayed 100 inputs, 1 hash equal/),
  ]);
  expect((await replay(directory, { until: 0 })).printed[0]).toContain(stateHash(initial));
});

test("replay: --state-at prints exactly that state as JSON", async () => {
  const directory = scratch();
  await record(directory, 10);
  const states = [initial, ...Array.from(run(10), ({ after }) => after)];
  for (const number of [0, 7, 20]) {
    const { printed } = await replay(directory, { stateAt: number });
    expect(printed).toHaveLength(1);
    expect(JSON.parse(printed[0] ?? "")).toEqual(toJson(states[number]));
  }
  expect((await replay(directory, { stateAt: 21 })).error).toMatch(
    /holds only 20 inputs; --state-at 21 is beyond/,
  );
});

test("replay: --print-actions is one line per input, with everything it caused", async () => {
  const directory = scratch();
  await record(directory, 1);
  const { printed } = await replay(directory, { printActions: true });
  expect(printed[0]).toMatch(
    /^1 command\/submit requestId=1 pool=transaction bytes=\[150 bytes\] => fetch\/verify /,
  );
  expect(printed[1]).toMatch(
    /^2 event\/itemsVerified batchId=1 .* => fetch\/conclude pool=transaction hash=/,
  );
  expect(printed).toHaveLength(3);
  for (const line of printed) expect(line).not.toContain("\n");
});

test("replay: --speed waits as long as was recorded, or a part of it", async () => {
  const directory = scratch();
  await record(directory, 3);
  expect((await replay(directory, { speed: 10 })).error).toBeNull();
});

test("replay: the first difference is shown with its inputs, their actions and the fields", async () => {
  const directory = scratch();
  await record(directory, 110);
  edit(directory, (text) => {
    const lines = text.split("\n");
    return lines
      .map((line, index) => (index === 105 ? line.replace('"$u64":"100"', '"$u64":"999"') : line))
      .join("\n");
  });
  const { printed, error } = await replay(directory);
  expect(error).toMatch(/000000\.ndjson:203: the state after 200 inputs is not the recorded one$/);
  const lines = printed[0]?.split("\n") ?? [];
  expect(lines[0]).toBe("100 inputs since the last equal hash, with what each caused:");
  expect(lines[1]).toMatch(/^ {2}101 command\/submit .* => fetch\/verify/);
  expect(lines[101]).toBe("fields of the state that are not as recorded, as they are now:");
  const fields = lines.slice(102).map((line) => /^ {2}(\w+): /.exec(line)?.[1]);
  expect(fields).toEqual(["pools", "local"]);
});

test("replay: a lost input and a damaged hash are told apart", async () => {
  const directory = scratch();
  await record(directory, 50);
  edit(directory, (text) => text.replace(/\n.*\n/, "\n"));
  expect((await replay(directory)).printed[0]).toContain("of the state after 100 inputs, but 99 were read");

  const other = scratch();
  await record(other, 50);
  edit(other, (text) => text.replace('"after":100,"hash":"', '"after":100,"hash":"0'));
  expect((await replay(other)).printed[0]).toContain("the hash of the whole is damaged");
});

test("replay: an input at which the core fails is reported, and nothing is thrown beyond it", async () => {
  const directory = scratch();
  await record(directory, 5);
  edit(directory, (text) => text.replace('"type":"command/submit"', '"type":"command/noSuch"'));
  const { printed, error } = await replay(directory);
  expect(error).toMatch(
    /000000\.ndjson:2: the core fails at input 1 \(.+\): either the recording is damaged or/,
  );
  expect(printed[0]).toMatch(/^1 command\/noSuch /);
});

test("replay: another version is remarked, for it may explain a difference", async () => {
  const directory = scratch();
  await record(directory, 1);
  edit(directory, (text) => text.replace(/"version":"[^"]+"/, '"version":"0.0.1"'));
  expect((await replay(directory)).noted[0]).toMatch(/^recorded by version 0\.0\.1, replayed by/);
});

test("replay: of several recordings each is replayed, whatever becomes of the others", async () => {
  const directory = scratch();
  for (const name of ["node-1", "node-2", "node-3"]) await record(join(directory, name), 5);
  const file = join(directory, "node-2", "000000.ndjson");
  appendFileSync(file, "garbage\n");
  const { printed, noted, error } = await replay(directory);
  expect(printed.filter((line) => line.includes(": replayed 10 inputs"))).toHaveLength(2);
  expect(noted[0]).toContain(`${file}:`);
  expect(error).toBe(`1 of 3 recordings are not reproduced: ${join(directory, "node-2")}`);
  expect((await replay(directory, { stateAt: 1 })).error).toMatch(/^--state-at needs one recording;/);
});
