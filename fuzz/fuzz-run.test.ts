import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { liarsOf } from "./byzantine-run.ts";
import { FAULT_NAMES } from "./faults.ts";
import {
  DEFAULT_OPTIONS,
  type RunResult,
  runScenario,
  runSeed,
  SCENARIO_NAMES,
  scenarioOf,
} from "./fuzz-run.ts";
import { replay } from "./recorder.ts";
import { createRecordings } from "./recordings.ts";
import type { Scenario } from "./scenario-arbitrary.ts";
import { shrink, shrinkLiars } from "./shrink.ts";

/** Every commit is tested with seeds of its own: see vitest.setup.ts. */
const first = 1 + ((fc.readConfigureGlobal()?.seed ?? 0) & 0xff_ffff);

describe("a run of the fuzzer", () => {
  test.each(SCENARIO_NAMES)(
    "%s: breaks no law, is the same again, and another with another seed",
    (scenario) => {
      const run = (seed: number): RunResult => runSeed(seed, { ...DEFAULT_OPTIONS, scenario });
      const one = run(first);
      expect(one.failure, `seed ${first}`).toBeNull();
      expect(run(first).digest).toBe(one.digest);
      const other = run(first + 1);
      expect(other.failure, `seed ${first + 1}`).toBeNull();
      expect(other.digest).not.toBe(one.digest);
    },
    // Three runs each, and the machine may be busy.
    180_000,
  );

  test("has the nodes and no other faults than it was asked for", () => {
    const scenario = scenarioOf(5, { ...DEFAULT_OPTIONS, scenario: "pools", faults: ["cut"], nodes: 9 });
    expect(scenario.nodes).toBe(9);
    for (const name of FAULT_NAMES) if (name !== "cut") expect(scenario.faults[name]).toBe(0);
    expect(runScenario(scenario).failure).toBeNull();
  });

  test.each([
    ["a scenario", "chain"],
    ["several networks one after the other", "byzantine"],
  ] as const)("is recorded by every process that was there, and replays: %s", (_, scenario) => {
    const recordings = createRecordings();
    runSeed(3, { ...DEFAULT_OPTIONS, scenario }, [recordings.observer]);
    const all = recordings.all();
    expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(1);
    for (const [, lines] of all) expect(replay(lines).tag).toBe("equal");
  });

  test("has only the liars that it was asked for", () => {
    const [first = "", ...others] = liarsOf(3);
    const run = (liars: readonly string[]): RunResult =>
      runSeed(3, { ...DEFAULT_OPTIONS, scenario: "byzantine", liars });
    expect(others.length).toBe(3);
    expect(run([first]).failure).toBeNull();
    expect(run([first]).inputs).toBeLessThan(run([first, ...others]).inputs);
  });

  test("is the same if all liars of its seed are asked for", () => {
    const run = (liars: readonly string[] | null): RunResult =>
      runSeed(22, { ...DEFAULT_OPTIONS, scenario: "byzantine", liars });
    expect(run(liarsOf(22)).digest).toBe(run(null).digest);
  });
});

describe("a run that fails", () => {
  const isOver = (): boolean => false;
  const hasCut = ({ events }: Scenario): string | null =>
    events.some(({ tag }) => tag === "cut") ? "it was cut" : null;
  const seeds = Array.from({ length: 20 }, (_, seed) => scenarioOf(seed, DEFAULT_OPTIONS));
  const failing = seeds.find((scenario) => hasCut(scenario) !== null);
  if (failing === undefined) throw new Error("cuts are not rare");

  test("is made as small as it gets", () => {
    const shrunk = shrink(failing, isOver, hasCut);
    expect(shrunk?.failure).toBe("it was cut");
    expect(shrunk?.scenario.events.map(({ tag }) => tag)).toEqual(["cut"]);
    expect(shrunk?.scenario).toMatchObject({ nodes: 2, extraDials: [], workers: [] });
    expect(new Set(Object.values(shrunk?.scenario.faults ?? {}))).toEqual(new Set([0]));
  });

  test("keeps two events that fail only together", () => {
    const both = (scenario: Scenario): string | null =>
      scenario.events.filter(({ tag }) => tag === "submit").length > 1 ? "two of them" : null;
    const many = seeds.find((scenario) => both(scenario) !== null) ?? failing;
    expect(shrink(many, isOver, both)?.scenario.events.map(({ tag }) => tag)).toEqual(["submit", "submit"]);
  });

  test("keeps the liars that it needs", () => {
    const needs = (liars: readonly string[]): string | null =>
      liars.includes("b") && liars.includes("d") ? "b and d" : null;
    expect(shrinkLiars(["a", "b", "c", "d"], isOver, needs)).toEqual({
      liars: ["b", "d"],
      failure: "b and d",
    });
    expect(shrinkLiars(["a"], isOver, () => "always")).toEqual({ liars: ["a"], failure: "always" });
    expect(shrinkLiars(["a"], isOver, needs)).toBeNull();
  });

  test("is left as it is when there is no time, and one that does not fail is none", () => {
    expect(shrink(failing, () => true, hasCut)).toEqual({
      scenario: failing,
      failure: "it was cut",
      tries: 1,
    });
    expect(shrink(failing, isOver, () => null)).toBeNull();
  });
});
