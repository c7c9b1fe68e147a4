import { describe, expect, test } from "vitest";
import { FAULT_NAMES } from "./faults.ts";
import {
  DEFAULT_OPTIONS,
  recordingsOf,
  runScenario,
  SCENARIO_NAMES,
  scenarioOf,
  shrink,
} from "./fuzz-run.ts";
import { replay } from "./recorder.ts";

describe("a run of the fuzzer", () => {
  test.each(SCENARIO_NAMES)("%s: the same seed is the same run, another seed is another", (scenario) => {
    const digestOf = (seed: number): string =>
      runScenario(scenarioOf(seed, { ...DEFAULT_OPTIONS, scenario })).digest;
    const digests = [1, 2, 3].map(digestOf);
    expect([1, 2, 3].map(digestOf)).toEqual(digests);
    expect(new Set(digests).size).toBe(3);
  });

  test("has the nodes and no other faults than it was asked for", () => {
    const scenario = scenarioOf(5, { scenario: "pools", faults: ["cut"], nodes: 9 });
    expect(scenario.nodes).toBe(9);
    for (const name of FAULT_NAMES) if (name !== "cut") expect(scenario.faults[name]).toBe(0);
    expect(runScenario(scenario).failure).toBeNull();
  });

  test("is recorded by every process that was there, and replays", () => {
    const recordings = recordingsOf(scenarioOf(3, DEFAULT_OPTIONS));
    expect(recordings.length).toBeGreaterThan(1);
    for (const [, lines] of recordings) expect(replay(lines).tag).toBe("equal");
  });

  test("that fails is made smaller, and a run that does not fail is none to make smaller", () => {
    expect(shrink(1, DEFAULT_OPTIONS, () => false)).toBeNull();
    const isBad = (events: readonly { readonly tag: string }[]): string | null =>
      events.some(({ tag }) => tag === "cut") ? "it was cut" : null;
    const seed = [1, 2, 3, 4, 5, 6, 7, 8].find(
      (one) => isBad(scenarioOf(one, DEFAULT_OPTIONS).events) !== null,
    );
    const judge = ({ events }: ReturnType<typeof scenarioOf>): string | null => isBad(events);
    const shrunk = shrink(seed ?? 0, DEFAULT_OPTIONS, () => false, judge);
    expect(shrunk?.failure).toBe("it was cut");
    expect(shrunk?.scenario.events.map(({ tag }) => tag)).toEqual(["cut"]);
    expect(shrunk?.scenario.nodes).toBe(2);
  });
});
