import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { REASONS } from "../../core/reasons.ts";
import { liarsOf } from "../../fuzz/byzantine-run.ts";
import { formatCase } from "../../fuzz/case.ts";
import { type FuzzOptions, hasScenario, runScenario, runSeed, scenarioOf } from "../../fuzz/fuzz-run.ts";
import { createRecordings, type Recordings } from "../../fuzz/recordings.ts";
import { shrink, shrinkLiars } from "../../fuzz/shrink.ts";
import { ACTION_TYPES } from "../../reducers/step.ts";
import { segmentName } from "../recorder.ts";
import { fuzz, type SeedResult } from "./runner.ts";

/** Everything that a session of fuzzing has done so far. */
export interface Session {
  readonly runs: number;
  readonly inputs: number;
  readonly virtualMs: number;
  readonly seconds: number;
  /** Action types that occurred, of all there are. */
  readonly actions: readonly [number, number];
  /** Reasons for which connections ended. */
  readonly reasons: readonly [number, number];
  /** Of the digests of all runs, in the order of their seeds. */
  readonly digest: string;
  /** The first run that failed. */
  readonly failed: SeedResult | null;
}

export interface SessionOptions extends FuzzOptions {
  readonly firstSeed: number;
  /** null: without end. */
  readonly runs: number | null;
  readonly durationMs: number | null;
  readonly jobs: number;
  readonly isOver: () => boolean;
  readonly progress: (session: Session) => void;
}

/** Runs until it is over, or until the first failure. */
export async function runSession(options: SessionOptions): Promise<Session> {
  const startMs = performance.now();
  const seen = new Set<string>();
  const digest = createHash("sha256");
  let [runs, inputs, virtualMs] = [0, 0, 0];
  let failed: SeedResult | null = null;
  const isOver = (): boolean =>
    options.isOver() || (options.durationMs !== null && performance.now() - startMs >= options.durationMs);
  const session = (): Session => ({
    runs,
    inputs,
    virtualMs,
    seconds: (performance.now() - startMs) / 1_000,
    actions: [ACTION_TYPES.filter((type) => seen.has(type)).length, ACTION_TYPES.length],
    reasons: [REASONS.filter((reason) => isSeen(seen, reason)).length, REASONS.length],
    digest: digest.copy().digest("hex"),
    failed,
  });
  for await (const result of fuzz(seedsFrom(options), options, options.jobs)) {
    runs += 1;
    inputs += result.inputs;
    virtualMs += result.virtualMs;
    digest.update(result.digest);
    for (const name of result.seen) seen.add(name);
    if (result.failure !== null) failed = result;
    options.progress(session());
    if (failed !== null || isOver()) break;
  }
  return session();
}

/** Where a failure is kept, and what is left of it. */
export interface Saved {
  /** Null: the run is no data, its seed says everything. */
  readonly casePath: string | null;
  readonly recordingsPath: string;
  readonly failure: string;
  /** For people: how much of the run is needed. */
  readonly size: string;
  /** As FuzzOptions has them. */
  readonly liars: readonly string[] | null;
}

/** @returns null if the run does not fail a second time: it is not deterministic, which is a failure of its own */
export function saveFailure(
  seed: number,
  options: FuzzOptions,
  directory: string,
  isOver: () => boolean,
): Saved | null {
  const recordingsPath = join(directory, "recordings");
  const recordings = createRecordings();
  if (hasScenario(options.scenario)) {
    const shrunk = shrink(scenarioOf(seed, options), isOver);
    if (shrunk === null) return null;
    const { scenario, failure } = shrunk;
    runScenario(scenario, [recordings.observer]);
    save(recordings, recordingsPath);
    const casePath = join(directory, "case.json");
    writeFileSync(casePath, formatCase({ about: failure, scenario }));
    const size = `${scenario.nodes} nodes and ${scenario.events.length} events are enough for it`;
    return { casePath, recordingsPath, failure, size, liars: null };
  }
  const found = fewerLiars(seed, options, isOver);
  if (found === null) return null;
  const { failure, liars } = found;
  runSeed(seed, { ...options, liars }, [recordings.observer]);
  save(recordings, recordingsPath);
  const size = liars === null ? "it cannot be made smaller" : `needed for it: ${liars.join(", ")}`;
  return { casePath: null, recordingsPath, failure, size, liars };
}

function fewerLiars(
  seed: number,
  options: FuzzOptions,
  isOver: () => boolean,
): { readonly liars: readonly string[] | null; readonly failure: string } | null {
  const judge = (liars: readonly string[] | null): string | null =>
    runSeed(seed, { ...options, liars }).failure;
  if (options.scenario === "byzantine") return shrinkLiars(options.liars ?? liarsOf(seed), isOver, judge);
  const failure = judge(null);
  return failure === null ? null : { liars: null, failure };
}

function save(recordings: Recordings, path: string): void {
  mkdirSync(path, { recursive: true });
  for (const [name, lines] of recordings.all()) {
    mkdirSync(join(path, name), { recursive: true });
    writeFileSync(join(path, name, segmentName(0)), `${lines.join("\n")}\n`);
  }
}

function* seedsFrom({ firstSeed, runs }: SessionOptions): Generator<number> {
  for (let run = 0; runs === null || run < runs; run++) yield (firstSeed + run) | 0;
}

const isSeen = (seen: ReadonlySet<string>, reason: string): boolean =>
  ["us", "them", "world"].some((by) => seen.has(`${by} ${reason}`));
