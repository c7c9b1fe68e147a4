import type { Logger } from "pino";
import { z } from "zod";
import { type Ban, FOREVER_MS, formatSubject, parseSubject } from "../core/bans.ts";
import { OFFENDERS_MAX, OPERATOR_BANS_MAX } from "../core/limits.ts";
import { REASONS } from "../core/reasons.ts";
import type { State } from "../core/state.ts";
import { listBans } from "../reducers/bans.ts";
import { createStateFile, readKept, type StateFileOptions } from "./state-file.ts";

/** Bans outlive the process: who was banned for a day does not wait for a restart (section 5). */

/** In the data directory. */
export const BANS_FILE_NAME = "bans.json";

export interface BansFile {
  /** After a step. */
  readonly observe: (state: State) => void;
  /** Never rejects. */
  readonly close: () => Promise<void>;
}

/**
 * The bans that a former process has left. Without them the node starts too, and says so.
 * @throws StateFileError
 */
export const readBans = (path: string, log: Logger): readonly Ban[] =>
  readKept(path, { version: VERSION, schema: bansSchema }, log, "bans") ?? [];

/** @param initial its bans are in the file already */
export function createBansFile(
  path: string,
  initial: State,
  log: Logger,
  options: Partial<StateFileOptions> = {},
): BansFile {
  const onError = (message: string): void => log.error({ detail: message }, "bans cannot be saved");
  const file = createStateFile(path, { version: VERSION, onError, ...options });
  let last = initial;
  return {
    observe: (state) => {
      if (state.offenders !== last.offenders || state.groups !== last.groups)
        file.save(() => listBans(last).map(toEntry));
      last = state;
    },
    close: file.close,
  };
}

const VERSION = 1;

const toEntry = ({ subject, untilMs, reason }: Ban) => ({
  id: formatSubject(subject),
  untilMs: untilMs >= FOREVER_MS ? null : untilMs,
  reason,
});

const bansSchema = z
  .array(
    z
      .strictObject({ id: z.string(), untilMs: z.int().min(0).nullable(), reason: z.enum(REASONS) })
      .transform(({ id, untilMs, reason }, context): Ban => {
        const subject = parseSubject(id);
        if (subject.tag !== "malformed") return { subject, untilMs: untilMs ?? FOREVER_MS, reason };
        context.issues.push({ code: "custom", message: subject.detail, input: id });
        return z.NEVER;
      }),
  )
  .max(2 * (OFFENDERS_MAX + OPERATOR_BANS_MAX));
