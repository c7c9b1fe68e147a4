import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { closest } from "fastest-levenshtein";
import { createLogUpdate } from "log-update";
import { LIAR_NAMES } from "../../fuzz/byzantine-run.ts";
import { parseCase } from "../../fuzz/case.ts";
import { FAULT_NAMES, FAULTS, type FaultName } from "../../fuzz/faults.ts";
import {
  DEFAULT_OPTIONS,
  hasChoices,
  runScenario,
  SCENARIO_NAMES,
  SCENARIOS,
  type ScenarioName,
} from "../../fuzz/fuzz-run.ts";
import { messageOf } from "../error-code.ts";
import { runSession, type Saved, type Session, type SessionOptions, saveFailure } from "../fuzz/session.ts";
import { EXIT_INTERRUPTED, UserError } from "./errors.ts";
import { onInterrupt } from "./lifetime.ts";
import { duration, wholeNumber } from "./options.ts";

interface Flags {
  readonly seed?: number;
  readonly runs?: number;
  /** ms */
  readonly for?: number;
  readonly nodes?: number;
  readonly scenario: ScenarioName;
  readonly faults: readonly FaultName[];
  readonly liar: readonly string[];
  readonly jobs: number;
  readonly case?: string;
  readonly out: string;
  readonly json?: true;
}

const SEED_MAX = 2 ** 31 - 1;
const RUNS_MAX = 1_000_000_000;
const NODES_MAX = 1_000;
const JOBS_MAX = 256;

export const fuzzCommand = (): Command =>
  new Command("fuzz")
    .description("simulate random networks, and check every rule at every step")
    .option(
      "--seed <n>",
      "seed of the first run; each further run adds 1 (default: random)",
      wholeNumber("a seed", 0, SEED_MAX),
    )
    .option("--runs <n>", "stop after n runs (default: never)", wholeNumber("runs", 1, RUNS_MAX))
    .option("--for <time>", "stop after this time: 500ms, 30s, 2m, 1h", duration({ orZero: false }))
    .option("--nodes <n>", "nodes of each network (default: 2 to 6)", wholeNumber("nodes", 2, NODES_MAX))
    .addOption(
      new Option("--scenario <name>", "the scenario to play (see below)")
        .choices(SCENARIO_NAMES)
        .default(DEFAULT_OPTIONS.scenario),
    )
    .addOption(
      new Option("--faults <list>", "the faults that may happen, separated by commas, or none")
        .argParser(parseFaults)
        .default(FAULT_NAMES, "all"),
    )
    .addOption(
      new Option("--liar <name>", "only this liar or trial of the scenario byzantine; repeatable")
        .argParser(addLiar)
        .default([], "chosen by the seed"),
    )
    .option(
      "--jobs <n>",
      "parallel processes; the result is the same with any number",
      wholeNumber("jobs", 1, JOBS_MAX),
      1,
    )
    .option("--case <file>", "replay one saved case")
    .option("--out <dir>", "where a failing case is saved", "fuzz-failures")
    .option("--json", "print one object with the result; everything else goes to standard error")
    .addHelpText("after", helpText)
    .action(run);

const helpText = (): string => `
Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, { about }]) => `  ${name.padEnd(13)}${about}`)
  .join("\n")}

Faults:
${Object.entries(FAULTS)
  .map(([name, about]) => `  ${name.padEnd(9)}${about}`)
  .join("\n")}

Examples:
  $ pollen fuzz
  $ pollen fuzz --runs 1000 --jobs ${availableParallelism()}
  $ pollen fuzz --faults cut,restart --for 1m
  $ pollen fuzz --case fuzz-failures/seed-17/case.json

Every run is a network of its own on virtual time: first with faults, then without, until all nodes have the same tip
and the pools they must have. The first run that breaks a rule is made as small as possible and saved. The exit code
is 0 if no run broke a rule, and 1 if one did.`;

/** A failure is made smaller for so long at most. */
const SHRINK_MS = 120_000;
const SHOW_EVERY_MS = 200;
const LINE_EVERY_MS = 5_000;

async function run(flags: Flags): Promise<void> {
  if (flags.case !== undefined) {
    playCase(flags.case);
    return;
  }
  if (flags.runs !== undefined && flags.for !== undefined)
    throw new UserError("--runs and --for both say when to stop: give one of them");
  const { scenario, faults, jobs, out } = flags;
  if (!hasChoices(scenario) && (flags.nodes !== undefined || faults !== FAULT_NAMES))
    throw new UserError(`--nodes and --faults are for the scenarios pools and chain, not for ${scenario}`);
  if (scenario !== "byzantine" && flags.liar.length > 0)
    throw new UserError(`--liar is for the scenario byzantine, not for ${scenario}`);
  const firstSeed = flags.seed ?? Math.floor(Math.random() * SEED_MAX);
  const show = createProgress();
  let isInterrupted = false;
  const stopListening = onInterrupt(
    () => {
      isInterrupted = true;
    },
    () => process.exit(EXIT_INTERRUPTED),
  );
  const options: SessionOptions = {
    scenario,
    faults,
    nodes: flags.nodes ?? null,
    liars: flags.liar.length === 0 ? null : flags.liar,
    firstSeed,
    runs: flags.runs ?? null,
    durationMs: flags.for ?? null,
    jobs,
    isOver: () => isInterrupted,
    progress: show.progress,
  };
  show.note(`from seed ${firstSeed} on`);
  const session = await runSession(options);
  stopListening();
  show.end(session);
  const { failed } = session;
  const saved =
    failed === null ? null : save(failed.seed, options, join(out, `seed-${failed.seed}`), show.note);
  if (flags.json) {
    const about =
      failed === null ? null : { seed: failed.seed, failure: failed.failure, case: saved?.casePath ?? null };
    process.stdout.write(
      `${JSON.stringify({ firstSeed, scenario, faults, jobs, ...session, failed: about })}\n`,
    );
  } else process.stdout.write(`${summary(session)}\ndigest of all runs: ${session.digest}\n`);
  if (failed === null) return;
  if (saved === null)
    throw new UserError(
      `seed ${failed.seed} failed once but not a second time, so something is not deterministic: ${failed.failure}`,
    );
  show.note(advice(failed.seed, saved, options));
  throw new UserError(`seed ${failed.seed} breaks a rule: ${saved.failure}`);
}

function save(
  seed: number,
  options: SessionOptions,
  directory: string,
  note: (text: string) => void,
): Saved | null {
  note(`seed ${seed} failed; shrinking the case, for ${SHRINK_MS / 1_000} s at most ...`);
  const untilMs = performance.now() + SHRINK_MS;
  try {
    return saveFailure(seed, options, directory, () => performance.now() > untilMs);
  } catch (error) {
    throw new UserError(
      `cannot save the failure of seed ${seed} in ${directory}: ${messageOf(error)}: choose another directory with --out`,
    );
  }
}

/** What to do next, a line each. */
function advice(seed: number, saved: Saved, options: SessionOptions): string {
  const { casePath, recordingsPath, size, liars } = saved;
  return [
    `${size}; it is saved, with recordings of all nodes:`,
    ...(casePath === null ? [] : [`  npm start -- fuzz --case ${casePath}`]),
    `  npm start -- replay ${recordingsPath}`,
    `  npm start -- fuzz --seed ${seed} --runs 1${again({ ...options, liars })}`,
  ].join("\n");
}

/** What else was asked for and makes a difference. */
function again({ scenario, faults, nodes, liars }: SessionOptions): string {
  const parts = [
    ...(scenario === DEFAULT_OPTIONS.scenario ? [] : [`--scenario ${scenario}`]),
    ...(faults.length === FAULT_NAMES.length ? [] : [`--faults ${faults.join(",") || NO_FAULTS}`]),
    ...(nodes === null ? [] : [`--nodes ${nodes}`]),
    ...(liars ?? []).map((name) => `--liar ${JSON.stringify(name)}`),
  ];
  return parts.map((part) => ` ${part}`).join("");
}

function playCase(path: string): void {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${messageOf(error)}: give the file of a saved failure`);
  }
  let parsed: ReturnType<typeof parseCase>;
  try {
    parsed = parseCase(text);
  } catch (error) {
    throw new UserError(
      `${path} is not a case of the fuzzer: ${messageOf(error)}: give the file of a saved failure`,
    );
  }
  const { failure, inputs, virtualMs } = runScenario(parsed.scenario);
  if (failure !== null) throw new UserError(`${path} breaks a rule: ${failure}`);
  process.stdout.write(
    `${path} breaks no rule: ${inputs} steps, ${Math.round(virtualMs / 1_000)} s of virtual time\n`,
  );
}

interface Progress {
  readonly progress: (session: Session) => void;
  readonly note: (text: string) => void;
  readonly end: (session: Session) => void;
}

/** On standard error: one line that changes on a terminal, a line now and then elsewhere. */
function createProgress(): Progress {
  const stream = process.stderr;
  const note = (text: string): void => void stream.write(`${text}\n`);
  const live = stream.isTTY ? createLogUpdate(stream) : null;
  let shownMs = performance.now();
  return {
    progress: (session) => {
      const nowMs = performance.now();
      if (nowMs < shownMs + (live === null ? LINE_EVERY_MS : SHOW_EVERY_MS)) return;
      shownMs = nowMs;
      if (live === null) note(summary(session));
      else live(summary(session));
    },
    note: live === null ? note : (text) => live.persist(text),
    end: () => live?.clear(),
  };
}

const summary = ({ runs, inputs, virtualMs, seconds, actions, reasons }: Session): string =>
  [
    `${runs} runs`,
    `${inputs} steps`,
    `${Math.round(inputs / seconds)} steps/s`,
    `${Math.round(virtualMs / 1_000 / seconds)} times real time`,
    `${actions.join(" of ")} actions`,
    `${reasons.join(" of ")} reasons`,
  ].join(", ");

const NO_FAULTS = "none";

function parseFaults(text: string): readonly FaultName[] {
  if (text === NO_FAULTS) return [];
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !isFault(name));
  if (unknown === undefined) return FAULT_NAMES.filter((name) => names.includes(name));
  throw new InvalidArgumentError(
    `no fault is called ${JSON.stringify(unknown)}; there are ${FAULT_NAMES.join(", ")}.`,
  );
}

function addLiar(name: string, before: readonly string[]): readonly string[] {
  if (LIAR_NAMES.includes(name)) return [...before, name];
  throw new InvalidArgumentError(
    `no liar is called ${JSON.stringify(name)}; did you mean ${JSON.stringify(closest(name, [...LIAR_NAMES]))}?`,
  );
}

const isFault = (name: string): name is FaultName => FAULT_NAMES.includes(name as FaultName);
