import { closest } from "fastest-levenshtein";
import { z } from "zod";

/** What somebody wrote, and either its meaning or what is wrong with it, one sentence for each place. */
export type Parsed<T> =
  | { readonly tag: "parsed"; readonly value: T }
  | { readonly tag: "failed"; readonly details: readonly string[] };

/** Parses JSON that people write: configuration files and bodies of requests. */
export function parseJson<T>(schema: z.ZodType<T>, text: string): Parsed<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { tag: "failed", details: [`not JSON: ${oneLine(error)}`] };
  }
  return parseValue(schema, value);
}

/** The details say where, what was expected and what was found; for unknown keys which known one is the nearest. */
export function parseValue<T>(schema: z.ZodType<T>, value: unknown): Parsed<T> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return { tag: "parsed", value: result.data };
  return { tag: "failed", details: result.error.issues.flatMap((issue) => explain(schema, issue)) };
}

function explain(schema: z.ZodType, issue: z.core.$ZodIssue): readonly string[] {
  const place = placeOf(issue.path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.slice(0, UNKNOWN_KEYS_SHOWN).map((key) => unknownKey(key, knownKeys(schema)));
    case "invalid_type":
      return [`${place}expected ${issue.expected}, got ${show(issue.input)}`];
    case "invalid_value": {
      const expected = issue.values.map((each) => JSON.stringify(each)).join(", ");
      return [`${place}expected one of ${expected}, got ${show(issue.input)}`];
    }
    case "too_small":
      return [`${place}expected ${least(issue)}, got ${show(issue.input)}`];
    case "too_big":
      return [`${place}expected at most ${issue.maximum}, got ${show(issue.input)}`];
    default:
      return [`${place}${issue.message}`];
  }
}

/** A hostile body may have thousands. */
const UNKNOWN_KEYS_SHOWN = 3;
const SHOWN_CHARACTERS_MAX = 60;

const least = ({ origin, minimum }: z.core.$ZodIssueTooSmall): string =>
  origin === "string" ? "a text that is not empty" : `at least ${minimum}`;

function unknownKey(key: string, known: readonly string[]): string {
  const hint =
    known.length === 0 ? "" : `; did you mean "${closest(key.slice(0, SHOWN_CHARACTERS_MAX), [...known])}"?`;
  return `unknown key ${show(key)}${hint}`;
}

const knownKeys = (schema: z.ZodType): readonly string[] =>
  schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];

/** `peer[1]: ` */
function placeOf(path: readonly PropertyKey[]): string {
  const text = path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
    .join("")
    .replace(/^\./, "");
  return text === "" ? "" : `${text}: `;
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

const oneLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ");
