import type { Action, Input } from "../core/actions.ts";
import { HASH_EVERY, hashLine, type RecordLine } from "../core/recording.ts";
import type { State } from "../core/state.ts";
import { step } from "./step.ts";

/** What one line of a recording did. */
export type Replayed =
  | {
      readonly tag: "applied";
      readonly inputs: number;
      readonly timeMs: number;
      readonly actions: readonly Action[];
    }
  | { readonly tag: "equal"; readonly inputs: number }
  | {
      /** The state is not the recorded one: it went wrong in one of the inputs since the last equal hash. */
      readonly tag: "differs";
      readonly inputs: number;
      readonly fields: readonly string[];
      readonly since: readonly { readonly input: Input; readonly actions: readonly Action[] }[];
    };

export interface Replay {
  readonly state: () => State;
  readonly inputs: () => number;
  readonly feed: (line: Exclude<RecordLine, { tag: "header" }>) => Replayed;
}

/** Reproduces a run from its recording: no network, no keys, no clock. */
export function createReplay(header: Extract<RecordLine, { tag: "header" }>): Replay {
  let { state } = header;
  let inputs = 0;
  let since: { readonly input: Input; readonly actions: readonly Action[] }[] = [];
  return {
    state: () => state,
    inputs: () => inputs,
    feed: (line) => {
      if (line.tag === "input") {
        const result = step(state, line.input, line.timeMs);
        state = result.state;
        inputs += 1;
        since.push({ input: line.input, actions: result.actions });
        // A recording without hashes must not be kept in memory.
        if (since.length > 2 * HASH_EVERY) since = since.slice(-HASH_EVERY);
        return { tag: "applied", inputs, timeMs: line.timeMs, actions: result.actions };
      }
      const ours = hashLine(state, inputs);
      if (ours.tag === "hash" && ours.stateHash === line.stateHash && inputs === line.inputs) {
        since = [];
        return { tag: "equal", inputs };
      }
      const names = new Set([...Object.keys(line.fields), ...Object.keys(state)]);
      const fields = [...names].filter(
        (name) => ours.tag !== "hash" || ours.fields[name] !== line.fields[name],
      );
      return { tag: "differs", inputs, fields, since: [...since] };
    },
  };
}
