import { join, resolve } from "node:path";
import Table from "cli-table3";
import { Command, InvalidArgumentError } from "commander";
import { hunt, type Look, type Outcome } from "./hunt.ts";
import { type Mutant, readMutants } from "./mutant.ts";
import { readPlaces, writePlaces } from "./places.ts";
import { applyPatch, copyTree, type Tree } from "./tree.ts";

/** Do the checkers find bugs? Each patch plants one into a copy of the tree, which is then fuzzed. */

interface Flags {
  readonly only?: string;
  readonly seeds: number;
  readonly jobs: number;
  readonly suites: string;
  readonly remember?: true;
}

interface Result {
  readonly mutant: Mutant;
  readonly outcome: Outcome;
  readonly seconds: number;
}

const CAUGHT_SHARE_MIN = 0.95;
const MEDIAN_SEEDS_MAX = 50;
const FAILURE_CHARS = 100;
const EXIT_INTERRUPTED = 130;

const root = resolve(import.meta.dirname, "..", "..");
const folder = join(root, "fuzz", "mutants");
const placesPath = join(folder, "places.json");

const note = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

async function run(flags: Flags): Promise<void> {
  const { only, seeds, suites } = flags;
  const mutants = chosen(readMutants(folder), only);
  // One state of the tree for all of them, whatever is edited meanwhile.
  const base = copyTree(root);
  try {
    const control = await hunt(base, { seeds, suites });
    if (control.tag !== "survived") {
      note(`The unchanged tree does not pass, so nothing can be said of mutants: ${wordsOf(control)}`);
      process.exitCode = 1;
      return;
    }
    note(`control: ${seeds} seeds pass; ${mutants.length} mutants`);
    report(await huntAll(base, mutants, flags), seeds);
  } finally {
    base.remove();
  }
}

function chosen(mutants: readonly Mutant[], only: string | undefined): readonly Mutant[] {
  const parts = only?.split(",") ?? [""];
  const found = mutants.filter(({ name }) => parts.some((part) => name.includes(part)));
  if (found.length === 0) throw new Error(`no mutant has a name with ${only}`);
  return found;
}

async function huntAll(
  base: Tree,
  mutants: readonly Mutant[],
  { seeds, jobs, suites, remember }: Flags,
): Promise<readonly Result[]> {
  const places = readPlaces(placesPath);
  const left = [...mutants];
  const results: Result[] = [];
  const work = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const startMs = performance.now();
      const outcome = await huntOne(base, mutant, { seeds, suites, first: places.get(mutant.name) });
      results.push({ mutant, outcome, seconds: (performance.now() - startMs) / 1_000 });
      note(`${mutant.name}: ${wordsOf(outcome)}`);
      if (outcome.tag !== "caught" || !remember) continue;
      places.set(mutant.name, { suite: outcome.suite, seed: outcome.seed });
      writePlaces(placesPath, places);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return results.sort((a, b) => (a.mutant.name < b.mutant.name ? -1 : 1));
}

async function huntOne(base: Tree, mutant: Mutant, look: Look): Promise<Outcome> {
  const tree = copyTree(base.root);
  try {
    await applyPatch(tree, mutant.path);
    return await hunt(tree, look);
  } catch (error) {
    return { tag: "error", detail: error instanceof Error ? error.message : String(error) };
  } finally {
    tree.remove();
  }
}

function report(results: readonly Result[], seeds: number): void {
  const table = new Table({ head: ["mutant", "rule", "caught", "seeds", "suite", "s"], style: { head: [] } });
  for (const { mutant, outcome, seconds } of results) {
    const { name, rule } = mutant;
    const isCaught = outcome.tag === "caught";
    const verdict = isCaught ? "yes" : outcome.tag === "error" ? "ERROR" : "no";
    const seed = isCaught ? `${outcome.seed}` : outcome.tag === "error" ? "-" : `> ${seeds}`;
    table.push([name, rule, verdict, seed, isCaught ? outcome.suite : "-", seconds.toFixed(1)]);
  }
  process.stdout.write(`${table.toString()}\n`);
  const needed = results.map(({ outcome }) =>
    outcome.tag === "caught" ? outcome.seed : Number.POSITIVE_INFINITY,
  );
  const caught = needed.filter(Number.isFinite).length;
  const share = caught / results.length;
  const errors = results.filter(({ outcome }) => outcome.tag === "error").length;
  const median = medianOf(needed);
  const isGood = share >= CAUGHT_SHARE_MIN && median <= MEDIAN_SEEDS_MAX && errors === 0;
  process.stdout.write(
    [
      `caught within ${seeds} seeds: ${caught} of ${results.length}, ${(100 * share).toFixed(1)} % (line: >= ${100 * CAUGHT_SHARE_MIN} %)`,
      `median of seeds, uncaught ones as infinity: ${median} (line: <= ${MEDIAN_SEEDS_MAX})`,
      `errors: ${errors} (line: 0)`,
      isGood ? "passed" : "MISSED",
      "",
    ].join("\n"),
  );
  if (!isGood) process.exitCode = 1;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[middle - 1] ?? Number.NaN, sorted[middle] ?? Number.NaN];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

function wordsOf(outcome: Outcome): string {
  switch (outcome.tag) {
    case "caught":
      return `caught by ${outcome.suite} at seed ${outcome.seed}: ${outcome.failure.slice(0, FAILURE_CHARS)}`;
    case "survived":
      return "survived";
    case "error":
      return `ERROR: ${outcome.detail}`;
  }
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("a whole number from 1 on");
  return number;
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => process.exit(EXIT_INTERRUPTED));

const program = new Command("mutants")
  .description("plant known bugs, one at a time, and see in how many seeds the fuzzer finds each")
  .option("--only <names>", "mutants whose names have one of these parts, separated by commas")
  .option("--seeds <n>", "seeds after which a mutant has survived", wholeNumber, 1_000)
  .option("--jobs <n>", "mutants at the same time", wholeNumber, 1)
  .option("--suites <names>", "separated by commas: see suites.ts", "all")
  .option("--remember", "write where each was caught into places.json: it is looked for there first")
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  note(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
