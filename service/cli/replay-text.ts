import type { Action, Input } from "../../core/actions.ts";
import { toJson } from "../../core/plain.ts";
import type { State } from "../../core/state.ts";
import type { Replayed } from "../../reducers/replay.ts";

/** How inputs, actions and states of a recording look to a reader. */

export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;

/** One line: the input and everything it caused. The input is the first action, unless its rule declined it. */
export function inputText(number: number, input: Input, actions: readonly Action[]): string {
  const followUps = actions.slice(1).map(actionText).join("; ");
  const outcome = actions.length === 0 ? " (dropped)" : followUps === "" ? "" : ` => ${followUps}`;
  return `${number} ${actionText(input)}${outcome}`;
}

function actionText({ type, ...fields }: Action): string {
  const values = Object.entries(fields).map(([name, value]) => `${name}=${valueText(value)}`);
  return [type, ...values].join(" ");
}

/** What `differs` means, for somebody who has to find the cause. */
export function differenceText(
  found: Extract<Replayed, { tag: "differs" }>,
  recordedInputs: number,
  state: State,
): string {
  const { inputs, fields, since } = found;
  const firstNumber = inputs - since.length + 1;
  const lines = [`${counted(since.length, "input")} since the last equal hash, with what each caused:`];
  for (const [index, { input, actions }] of since.entries()) {
    lines.push(`  ${inputText(firstNumber + index, input, actions)}`);
  }
  if (recordedInputs !== inputs) {
    lines.push(`the hash is of the state after ${recordedInputs} inputs, but ${inputs} were read`);
  }
  lines.push(
    fields.length === 0
      ? "every field of the state has its recorded hash: the hash of the whole is damaged"
      : "fields of the state that are not as recorded, as they are now:",
  );
  for (const field of fields) lines.push(`  ${field}: ${fieldText(state, field)}`);
  return lines.join("\n");
}

const TEXT_MAX = 60;
const FIELD_MAX = 1_000;

function fieldText(state: State, field: string): string {
  if (!(field in state)) return "(none)";
  return shortened(JSON.stringify(toJson(state[field as keyof State])), FIELD_MAX);
}

function valueText(value: unknown): string {
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (typeof value === "string") return shortened(value, TEXT_MAX);
  return shortened(JSON.stringify(toJson(value)), TEXT_MAX);
}

const shortened = (text: string, max: number): string =>
  text.length <= max ? text.replaceAll(/\s+/g, " ") : `${text.slice(0, max).replaceAll(/\s+/g, " ")}...`;
