import { expect, test } from "vitest";
import {
  formatLine,
  HASH_EVERY,
  hashLine,
  parseLine,
  RECORDING_FORMAT,
  type RecordLine,
} from "../core/recording.ts";
import { stateHash } from "../core/state-hash.ts";
import { createReplay } from "./replay.ts";
import { chaos } from "./testing/chaos.ts";

/** The recording of a random life, as text. */
function record(seed: number, inputs: number): { readonly lines: readonly string[]; readonly hash: string } {
  const lines: string[] = [];
  let count = 0;
  const world = chaos(seed, {}, (input, { state }) => {
    lines.push(formatLine({ tag: "input", timeMs: state.timeMs, input }));
    count += 1;
    if (count % HASH_EVERY === 0) lines.push(formatLine(hashLine(state, count)));
  });
  const start = world.node.state;
  while (count < inputs) world.next();
  const header: RecordLine = { tag: "header", format: RECORDING_FORMAT, version: "0.1.0", state: start };
  return { lines: [formatLine(header), ...lines], hash: stateHash(world.node.state) };
}

function replay(lines: readonly string[]) {
  const [header, ...others] = lines.map(parseLine);
  if (header?.tag !== "header") throw new Error("a recording begins with its header");
  const run = createReplay(header);
  const results = others.map((line) => (line.tag === "header" ? undefined : run.feed(line)));
  return { run, results };
}

test("replay: a recording reproduces every hash and the last state", () => {
  const { lines, hash } = record(3, 650);
  const { run, results } = replay(lines);
  expect(results.filter((result) => result?.tag === "equal").length).toBeGreaterThanOrEqual(6);
  expect(results.filter((result) => result?.tag === "differs")).toEqual([]);
  expect(stateHash(run.state())).toBe(hash);
});

test("P29: an input that was changed is found at the next hash, with the fields that differ and what came since", () => {
  const { lines } = record(4, 320);
  const dial = JSON.stringify({ type: "command/stop" });
  const changed = lines.map((line, index) =>
    index === 150 ? line.replace(/"input":.*$/, `"input":${dial}}`) : line,
  );
  const { results } = replay(changed);
  const [first] = results.filter((result) => result?.tag === "differs");
  if (first?.tag !== "differs") throw new Error("the change is found");
  expect(first.inputs).toBe(200);
  expect(first.fields).toContain("stopping");
  expect(first.since).toHaveLength(HASH_EVERY);
  expect(first.since.some(({ input }) => input.type === "command/stop")).toBe(true);
});

test("P29: an input that was lost is found too", () => {
  const { lines } = record(5, 210);
  const { results } = replay([...lines.slice(0, 50), ...lines.slice(51)]);
  expect(results.some((result) => result?.tag === "differs")).toBe(true);
});

test("P29: no recording holds more than what went into the core", () => {
  const { lines } = record(6, 100);
  const keys = new Set(lines.flatMap((line) => Object.keys(JSON.parse(line) as object)));
  expect([...keys].sort()).toEqual(["after", "fields", "hash", "input", "pollen", "state", "t", "version"]);
});
