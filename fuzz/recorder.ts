import type { Input } from "../core/actions.ts";
import { formatLine, HASH_EVERY, hashLine, parseLine, RECORDING_FORMAT } from "../core/recording.ts";
import type { State } from "../core/state.ts";
import { createReplay, type Replayed } from "../reducers/replay.ts";

/** The recording of one simulated process, in the format of core/recording.ts. */
export interface Recorder {
  readonly input: (timeMs: number, input: Input) => void;
  readonly applied: (state: State) => void;
  /** Ends with the hash of the last state, so that nothing of a run stays unchecked. */
  readonly lines: () => readonly string[];
}

export function createRecorder(initial: State, hashEvery = HASH_EVERY): Recorder {
  const lines = [
    formatLine({ tag: "header", format: RECORDING_FORMAT, version: "simulation", state: initial }),
  ];
  let inputs = 0;
  let last = initial;
  return {
    input: (timeMs, input) => {
      inputs += 1;
      lines.push(formatLine({ tag: "input", timeMs, input }));
    },
    applied: (state) => {
      last = state;
      if (inputs % hashEvery === 0) lines.push(formatLine(hashLine(state, inputs)));
    },
    lines: () => [...lines, formatLine(hashLine(last, inputs))],
  };
}

export type ReplayResult =
  | { readonly tag: "equal"; readonly inputs: number }
  | { readonly tag: "differs"; readonly line: number; readonly found: Extract<Replayed, { tag: "differs" }> };

/** Applies a recording to a fresh core and stops at the first state that is not the recorded one. */
export function replay(lines: readonly string[]): ReplayResult {
  const [first, ...rest] = lines.map(parseLine);
  if (first?.tag !== "header") throw new Error("the first line is not a header");
  const run = createReplay(first);
  for (const [index, line] of rest.entries()) {
    if (line.tag === "header") throw new Error("a second header");
    const found = run.feed(line);
    if (found.tag === "differs") return { tag: "differs", line: index + 2, found };
  }
  return { tag: "equal", inputs: run.inputs() };
}
