import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { REASONS } from "../../core/reasons.ts";
import { formatCase } from "../../fuzz/case.ts";
import { type FuzzOptions, recordingsOf, scenarioOf } from "../../fuzz/fuzz-run.ts";
import { type Shrunk, shrink } from "../../fuzz/shrink.ts";
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

/** Where a failure is kept. */
export interface Saved {
  readonly casePath: string;
  readonly recordingsPath: string;
  readonly shrunk: Shrunk;
}

/** @returns null if the run does not fail a second time: it is not deterministic, which is a failure of its own */
export function saveFailure(
  seed: number,
  options: FuzzOptions,
  directory: string,
  isOver: () => boolean,
): Saved | null {
  const shrunk = shrink(scenarioOf(seed, options), isOver);
  if (shrunk === null) return null;
  const [casePath, recordingsPath] = [join(directory, "case.json"), join(directory, "recordings")];
  mkdirSync(recordingsPath, { recursive: true });
  writeFileSync(casePath, formatCase({ about: shrunk.failure, scenario: shrunk.scenario }));
  for (const [name, lines] of recordingsOf(shrunk.scenario)) {
    mkdirSync(join(recordingsPath, name), { recursive: true });
    writeFileSync(join(recordingsPath, name, segmentName(0)), `${lines.join("\n")}\n`);
  }
  return { casePath, recordingsPath, shrunk };
}

function* seedsFrom({ firstSeed, runs }: SessionOptions): Generator<number> {
  for (let run = 0; runs === null || run < runs; run++) yield (firstSeed + run) | 0;
}

const isSeen = (seen: ReadonlySet<string>, reason: string): boolean =>
  ["us", "them", "world"].some((by) => seen.has(`${by} ${reason}`));
