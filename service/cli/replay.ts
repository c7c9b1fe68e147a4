import { once } from "node:events";
import { Command, InvalidArgumentError } from "commander";
import { toJson } from "../../core/plain.ts";
import type { RecordLine } from "../../core/recording.ts";
import { stateHash } from "../../core/state-hash.ts";
import { createReplay, type Replay, type Replayed } from "../../reducers/replay.ts";
import { messageOf } from "../error-code.ts";
import { RecordingError } from "../recorder.ts";
import { findRecordings, type Position, type Recording, readRecording, where } from "../recording-reader.ts";
import { VERSION } from "../version.ts";
import { UserError } from "./errors.ts";
import { counted, differenceText, inputText } from "./replay-text.ts";

export interface ReplayOptions {
  readonly until?: number;
  readonly printActions?: true;
  readonly stateAt?: number;
  readonly speed?: number;
}

export const replayCommand = (): Command =>
  new Command("replay")
    .description("reproduce a recorded run without network or keys, and check every hash")
    .argument("<dir>", "directory of one recording, or of several, as made by devnet --record")
    .option("--until <n>", "stop after n inputs", parseCount)
    .option("--print-actions", "one line per input, with the actions it caused")
    .option("--state-at <n>", "print the state after n inputs as JSON and stop", parseCount)
    .option(
      "--speed <x>",
      "pace: 1 is as fast as recorded, 10 ten times that (default: no pauses)",
      parseSpeed,
    )
    .addHelpText("after", EXAMPLES)
    .action((path: string, options: ReplayOptions) => {
      // `pollen replay ... | head` is at its end when the reader has gone.
      process.stdout.on("error", () => process.exit());
      return replayAll(path, options, STANDARD_OUTPUT);
    });

const EXAMPLES = `
Examples:
  $ pollen replay recordings/today
  $ pollen replay recordings/today/node-1 --until 500 --print-actions
  $ pollen replay recordings/today/node-1 --state-at 500`;

export interface ReplayOutput {
  /** Results. Resolves when the reader has caught up, so that nothing is kept for it. */
  readonly print: (text: string) => Promise<void>;
  /** Progress and remarks. */
  readonly note: (text: string) => void;
}

/** @throws UserError unless everything is reproduced */
export async function replayAll(path: string, options: ReplayOptions, output: ReplayOutput): Promise<void> {
  const recordings = reported(() => findRecordings(path));
  if (recordings.length > 1 && options.stateAt !== undefined) {
    const names = recordings.map((recording) => recording.path).join(", ");
    throw new UserError(`--state-at needs one recording; ${path} holds several: ${names}`);
  }
  const failures: string[] = [];
  for (const recording of recordings) {
    const prefix = recordings.length > 1 ? `${recording.path}: ` : "";
    try {
      await replayOne(recording, options, prefix, output);
    } catch (error) {
      const failure = userErrorOf(error);
      if (recordings.length === 1) throw failure;
      output.note(failure.message);
      failures.push(recording.path);
    }
  }
  if (failures.length > 0) {
    throw new UserError(
      `${failures.length} of ${recordings.length} recordings are not reproduced: ${failures.join(", ")}`,
    );
  }
  if (recordings.length > 1) await output.print(`all ${recordings.length} recordings are reproduced`);
}

/** @throws UserError at the first thing that is not as recorded */
async function replayOne(
  recording: Recording,
  options: ReplayOptions,
  prefix: string,
  { print, note }: ReplayOutput,
): Promise<void> {
  const end = Math.min(options.until ?? Infinity, options.stateAt ?? Infinity);
  const progress = createProgress(recording, (text) => note(`${prefix}${text}`));
  const pace = createPace(options.speed);
  let replay: Replay | undefined;
  let equalHashes = 0;
  let unchecked = 0;
  let torn: string | undefined;
  for await (const read of readRecording(recording)) {
    if (read.tag === "torn") {
      torn = `the last line is torn after ${counted(read.bytes, "byte")} (${where(read.at)}): the process ended while it wrote it`;
      break;
    }
    const { line, at } = read;
    if (line.tag === "header") {
      replay = createReplay(line);
      if (line.version !== VERSION) {
        note(
          `${prefix}recorded by version ${line.version}, replayed by ${VERSION}: they may behave differently`,
        );
      }
      continue;
    }
    if (replay === undefined || (line.tag === "input" && replay.inputs() >= end)) break;
    if (line.tag === "input") await pace(line.timeMs);
    const replayed = await feed(replay, line, at, print);
    if (replayed.tag === "applied") {
      unchecked += 1;
      progress(replayed.inputs, at);
      if (options.printActions && line.tag === "input") {
        await print(`${prefix}${inputText(replayed.inputs, line.input, replayed.actions)}`);
      }
    } else if (replayed.tag === "equal") {
      equalHashes += 1;
      unchecked = 0;
    } else if (line.tag === "hash") {
      await print(differenceText(replayed, line.inputs, replay.state()));
      throw new UserError(
        `${where(at)}: the state after ${counted(replayed.inputs, "input")} is not the recorded one`,
      );
    }
  }
  if (replay === undefined) return;
  if (options.stateAt !== undefined) {
    await print(stateText(replay, options.stateAt, recording));
    return;
  }
  const inputs = counted(replay.inputs(), "input");
  const hashes = `${counted(equalHashes, "hash", "hashes")} equal`;
  await print(`${prefix}replayed ${inputs}, ${hashes}, final state hash ${stateHash(replay.state())}`);
  if (torn !== undefined) await print(`${prefix}${torn}`);
  if (unchecked > 0) {
    await print(
      `${prefix}no hash follows the last ${counted(unchecked, "input")}: they are reproduced, not compared`,
    );
  }
}

async function feed(
  replay: Replay,
  line: Exclude<RecordLine, { tag: "header" }>,
  at: Position,
  print: ReplayOutput["print"],
): Promise<Replayed> {
  try {
    return replay.feed(line);
  } catch (error) {
    const number = replay.inputs() + 1;
    if (line.tag === "input") await print(inputText(number, line.input, [line.input]));
    throw new UserError(
      `${where(at)}: the core fails at input ${number} (${messageOf(error)}): ` +
        "either the recording is damaged or this is the bug to find",
    );
  }
}

function stateText(replay: Replay, wanted: number, { path }: Recording): string {
  if (replay.inputs() < wanted) {
    throw new UserError(
      `${path} holds only ${counted(replay.inputs(), "input")}; --state-at ${wanted} is beyond`,
    );
  }
  return JSON.stringify(toJson(replay.state()), null, 2);
}

const PROGRESS_EVERY_MS = 2_000;

function createProgress(
  { segments }: Recording,
  note: (text: string) => void,
): (inputs: number, at: Position) => void {
  let dueMs = performance.now() + PROGRESS_EVERY_MS;
  return (inputs, { file }) => {
    if (performance.now() < dueMs) return;
    dueMs = performance.now() + PROGRESS_EVERY_MS;
    note(`${counted(inputs, "input")}, segment ${segments.indexOf(file) + 1} of ${segments.length} ...`);
  };
}

/** Lets recorded time pass `speed` times as fast as it did. */
function createPace(speed: number | undefined): (timeMs: number) => Promise<void> {
  if (speed === undefined) return () => Promise.resolve();
  const startMs = performance.now();
  let firstMs: number | undefined;
  return async (timeMs) => {
    firstMs ??= timeMs;
    const waitMs = (timeMs - firstMs) / speed - (performance.now() - startMs);
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  };
}

function reported<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw userErrorOf(error);
  }
}

const userErrorOf = (error: unknown): Error =>
  error instanceof RecordingError
    ? new UserError(error.message)
    : error instanceof Error
      ? error
      : new Error(String(error));

const STANDARD_OUTPUT: ReplayOutput = {
  print: async (text) => {
    if (!process.stdout.write(`${text}\n`)) await once(process.stdout, "drain");
  },
  note: (text) => {
    process.stderr.write(`${text}\n`);
  },
};

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count))
    throw new InvalidArgumentError("expected a number of inputs.");
  return count;
}

function parseSpeed(text: string): number {
  const speed = Number(text);
  if (!(speed > 0) || !Number.isFinite(speed)) throw new InvalidArgumentError("expected a number above 0.");
  return speed;
}
