import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatCase, parseCase } from "./case.ts";
import { DEFAULT_OPTIONS, runScenario, scenarioOf } from "./fuzz-run.ts";

/** Runs that have failed once, in a file each: `pollen fuzz` saves them. */

const folder = new URL("./corpus/", import.meta.url);
const files = readdirSync(folder);

describe("what the fuzzer has found before", () => {
  test.each(files)("%s", (file) => {
    const { about, scenario } = parseCase(readFileSync(new URL(file, folder), "utf8"));
    expect(about).not.toBe("");
    expect(runScenario(scenario).failure).toBeNull();
  });
});

describe("a case in a file", () => {
  const scenario = scenarioOf(7, DEFAULT_OPTIONS);

  test("is the scenario that was saved", () => {
    expect(parseCase(formatCase({ about: "why", scenario }))).toEqual({ about: "why", scenario });
  });

  test.each([
    ["{", /^not JSON: /],
    ["[]", /expected object/],
    [formatCase({ about: "", scenario }).replace("case-1", "case-9"), /^format: /],
    [formatCase({ about: "", scenario: { ...scenario, nodes: 1 } }), /^scenario\.nodes: /],
    [
      formatCase({ about: "", scenario: { ...scenario, events: [{ tag: "run", ms: -1 }] } }),
      /^events\.0\.ms: /,
    ],
    [
      formatCase({ about: "", scenario: { ...scenario, faults: { ...scenario.faults, cut: 6 } } }),
      /^scenario\.faults\.cut: /,
    ],
  ])("%#: what is none says why", (text, why) => {
    expect(() => parseCase(text)).toThrow(why);
  });
});
