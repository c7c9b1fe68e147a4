import { execFile } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a process of its own: signals and jobs need it. */
const fuzz = (...args: readonly string[]): Promise<Ran> =>
  new Promise((resolve) => {
    const argv = ["service/cli/pollen.mjs", "fuzz", ...args];
    execFile(process.execPath, argv, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });

const digestOf = ({ stdout }: Ran): string | undefined =>
  /digest of all runs: ([0-9a-f]{64})/.exec(stdout)?.[1];

describe("pollen fuzz", () => {
  test("tells what it did, and the same seeds are the same runs with one process and with two", async () => {
    const [one, two, other] = await Promise.all([
      fuzz("--seed", "3", "--runs", "5"),
      fuzz("--seed", "3", "--runs", "5", "--jobs", "2"),
      fuzz("--seed", "4", "--runs", "5"),
    ]);
    expect(one).toMatchObject({ code: 0, stderr: expect.stringContaining("from seed 3 on") });
    expect(one.stdout).toMatch(/^5 runs, \d+ steps, \d+ steps\/s, \d+ times real time, \d+ of \d+ actions, /);
    expect(digestOf(one)).toBeDefined();
    expect(digestOf(two)).toBe(digestOf(one));
    expect(digestOf(other)).not.toBe(digestOf(one));
  });

  test("--json prints one object, and --for ends by itself", async () => {
    const { code, stdout } = await fuzz("--for", "500ms", "--faults", "none", "--nodes", "3", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ scenario: "chain", faults: [], failed: null, jobs: 1 });
  });

  test.each([
    [["--faults", "cut,flood"], 2, /no fault is called "flood"; there are cut, stall/],
    [["--scenario", "nothing"], 2, /Allowed choices are pools, chain, crowded, byzantine/],
    [["--scenario", "slots", "--nodes", "3"], 1, /are for the scenarios pools and chain, not for slots/],
    [["--nodes", "1"], 2, /expected nodes from 2 to 1000/],
    [["--runs", "1", "--for", "1s"], 1, /--runs and --for both say when to stop: give one of them/],
    [["--case", "nowhere.json"], 1, /cannot read nowhere\.json: .*: give the file of a saved failure/],
  ] as const)("%s is refused with what to do", async (args, code, why) => {
    const ran = await fuzz(...args);
    expect(ran.code).toBe(code);
    expect(ran.stderr).toMatch(why);
    expect(ran.stdout).toBe("");
  });

  test("--case plays one of the corpus, and says of another file that it is none", async () => {
    const good = await fuzz("--case", "fuzz/corpus/back-to-genesis.json");
    expect(good).toMatchObject({ code: 0, stderr: "" });
    expect(good.stdout).toMatch(/breaks no rule: \d+ steps/);
    const path = join(mkdtempSync(join(tmpdir(), "pollen-")), "case.json");
    writeFileSync(path, "{}");
    expect(await fuzz("--case", path)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is not a case of the fuzzer: format: "),
    });
  });
});
