import { InvalidArgumentError } from "commander";
import type { z } from "zod";
import { DURATION_EXAMPLES, parseDurationMs } from "../duration.ts";
import { parseValue } from "../json-input.ts";

// Parsers of option arguments: the same schemas that check a configuration file, for one text of the command line.

/** @returns a parser that throws InvalidArgumentError, which is a usage error */
export const parserOf =
  <T>(schema: z.ZodType<T>) =>
  (text: string): T => {
    const parsed = parseValue(schema, text);
    if (parsed.tag === "failed") throw new InvalidArgumentError(parsed.details.join("; "));
    return parsed.value;
  };

export const numberParserOf =
  <T>(schema: z.ZodType<T>) =>
  (text: string): T => {
    const parsed = parseValue(schema, /^\d+$/.test(text) ? Number(text) : text);
    if (parsed.tag === "failed") throw new InvalidArgumentError(parsed.details.join("; "));
    return parsed.value;
  };

/** For an option that may be given several times: each adds to the list. */
export const listParserOf =
  <T>(schema: z.ZodType<readonly T[]>) =>
  (text: string, previous: readonly T[] | undefined): readonly T[] => {
    const parsed = parseValue(schema, [text]);
    if (parsed.tag === "parsed") return [...(previous ?? []), ...parsed.value];
    throw new InvalidArgumentError(parsed.details.map((detail) => detail.replace(/^\[0\]: /, "")).join("; "));
  };

/** For numbers that no configuration file has. */
export const wholeNumber =
  (what: string, least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected ${what} from ${least} to ${most}.`);
  };

/** Durations in ms. */
export const duration =
  ({ orZero }: { readonly orZero: boolean }) =>
  (text: string): number => {
    const ms = orZero && text === "0" ? 0 : parseDurationMs(text);
    if (ms !== undefined) return ms;
    throw new InvalidArgumentError(
      `expected a duration such as ${DURATION_EXAMPLES}${orZero ? ", or 0" : ""}.`,
    );
  };
