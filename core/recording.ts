import type { Input } from "./actions.ts";
import type { Hex } from "./bytes.ts";
import { fromJson, type Json, toJson } from "./plain.ts";
import type { State } from "./state.ts";
import { fieldHashes, stateHash } from "./state-hash.ts";

/**
 * A recording: NDJSON, a header, then one line per input, and every HASH_EVERY inputs the hash of the state. It
 * holds what went into the core and nothing else; keys stay in the crypto service and are never in it.
 */
export const RECORDING_FORMAT = 1;
export const HASH_EVERY = 100;

export type RecordLine =
  | {
      readonly tag: "header";
      readonly format: number;
      /** Version of the package that wrote it: another one may behave differently. */
      readonly version: string;
      readonly state: State;
    }
  | { readonly tag: "input"; readonly timeMs: number; readonly input: Input }
  | {
      readonly tag: "hash";
      /** How many inputs came before. */
      readonly inputs: number;
      readonly stateHash: Hex;
      /** Of each field of the state, so that a difference can be located. */
      readonly fields: Readonly<Record<string, Hex>>;
    };

/** What is written after every HASH_EVERY inputs. */
export const hashLine = (state: State, inputs: number): RecordLine => ({
  tag: "hash",
  inputs,
  stateHash: stateHash(state),
  fields: fieldHashes(state),
});

export function formatLine(line: RecordLine): string {
  switch (line.tag) {
    case "header":
      return JSON.stringify({ pollen: line.format, version: line.version, state: toJson(line.state) });
    case "input":
      return JSON.stringify({ t: line.timeMs, input: toJson(line.input) });
    case "hash":
      return JSON.stringify({ after: line.inputs, hash: line.stateHash, fields: line.fields });
  }
}

/** @throws Error that says what is wrong with the line */
export function parseLine(text: string): RecordLine {
  const json = JSON.parse(text) as Json;
  if (json === null || typeof json !== "object" || Array.isArray(json)) throw new Error("is not an object");
  const fields = json as { readonly [key: string]: Json };
  const { pollen, version, state, t, input, after, hash, fields: parts } = fields;
  if (typeof pollen === "number" && typeof version === "string" && isObject(state)) {
    if (pollen !== RECORDING_FORMAT)
      throw new Error(`has format ${pollen}, this version reads ${RECORDING_FORMAT}`);
    return { tag: "header", format: pollen, version, state: fromJson(state) as State };
  }
  if (typeof t === "number" && isObject(input) && typeof input["type"] === "string") {
    return { tag: "input", timeMs: t, input: fromJson(input) as Input };
  }
  if (typeof after === "number" && typeof hash === "string" && isObject(parts)) {
    return { tag: "hash", inputs: after, stateHash: hash, fields: parts as Readonly<Record<string, Hex>> };
  }
  throw new Error("is neither a header, an input nor a hash");
}

const isObject = (json: Json | undefined): json is { readonly [key: string]: Json } =>
  typeof json === "object" && json !== null && !Array.isArray(json);
