import { constants, readFileSync, renameSync, statSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { Logger } from "pino";
import { z } from "zod";
import { codeOf, messageOf } from "./error-code.ts";
import { parseJson, parseValue } from "./json-input.ts";

/** What a node keeps in a file of its own: an object `{ version, content }`. */
export interface StateFormat<T> {
  /** Of the content. A file with another version is not read. */
  readonly version: number;
  readonly schema: z.ZodType<T>;
}

export type StateRead<T> =
  | { readonly tag: "absent" }
  | { readonly tag: "read"; readonly content: T }
  /** It is not what this version can read. It has another name now, so that it is neither lost nor in the way. */
  | { readonly tag: "setAside"; readonly movedTo: string; readonly detail: string };

export interface StateFile {
  /** @param content is called when it is time to write; of several in a short time the last one counts */
  readonly save: (content: () => unknown) => void;
  /** What is to be saved is on disk, or cannot be; never rejects. */
  readonly close: () => Promise<void>;
}

export interface StateFileOptions {
  readonly version: number;
  /** The file could not be written; it is tried again. Said once until it succeeds. */
  readonly onError: (message: string) => void;
  readonly intervalMs?: number;
  readonly retryMs?: number;
}

/** The file is there and may not be touched; written for the operator. */
export class StateFileError extends Error {
  override readonly name = "StateFileError";
}

/** Two writes are this far apart, so that somebody who causes many changes does not keep the disk busy. */
const INTERVAL_MS = 2_000;
const RETRY_MS = 30_000;
/** Tables of the core are bounded; what is far longer is another file. */
const BYTES_MAX = 64 * 1024 * 1024;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/**
 * Reads what `createStateFile` has written. A torn, damaged or foreign file, and one of another version, is renamed.
 * @throws StateFileError if the file is there and can be neither read nor renamed
 */
export function readStateFile<T>(path: string, { version, schema }: StateFormat<T>): StateRead<T> {
  const found = readText(path);
  if (found.tag === "absent") return found;
  const parsed = found.tag === "text" ? parseContent(found.text, version, schema) : found;
  if (parsed.tag === "read") return parsed;
  const movedTo = `${path}.unread-${new Date().toISOString().replace(/[:.]/g, "-")}`;
  try {
    renameSync(path, movedTo);
  } catch (error) {
    throw new StateFileError(
      `${path} cannot be used (${parsed.detail}) nor renamed (${codeOf(error)}); move it away`,
    );
  }
  return { tag: "setAside", movedTo, detail: parsed.detail };
}

/**
 * The content of the file, or null: there is none, or none that can be used, which the log says.
 * @param what is kept in it, for the log
 * @throws StateFileError as `readStateFile`
 */
export function readKept<T>(path: string, format: StateFormat<T>, log: Logger, what: string): T | null {
  const result = readStateFile(path, format);
  switch (result.tag) {
    case "absent":
      return null;
    case "read":
      return result.content;
    case "setAside": {
      const { movedTo, detail } = result;
      log.warn(
        { file: path, movedTo, detail },
        `the saved ${what} cannot be used: the node starts without them`,
      );
      return null;
    }
  }
}

/** Writes in the background. Whenever the process or the machine stops, the file is the old one or the new one. */
export function createStateFile(
  path: string,
  { version, onError, intervalMs = INTERVAL_MS, retryMs = RETRY_MS }: StateFileOptions,
): StateFile {
  let wanted: (() => unknown) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let written: string | undefined;
  let isClosed = false;
  let isFailing = false;

  const arm = (ms: number): void => {
    if (timer !== undefined || isClosed) return;
    timer = setTimeout(() => {
      timer = undefined;
      writing = writing.then(write);
    }, ms);
    timer.unref();
  };

  const write = async (): Promise<void> => {
    const content = wanted;
    if (content === undefined) return;
    wanted = undefined;
    try {
      const text = `${JSON.stringify({ version, content: content() })}\n`;
      if (text === written) return;
      await replaceFile(path, text);
      written = text;
      isFailing = false;
    } catch (error) {
      if (!isFailing) onError(`${path} cannot be written: ${messageOf(error)}`);
      isFailing = true;
      wanted ??= content;
      arm(retryMs);
    }
  };

  return {
    save: (content) => {
      if (isClosed) return;
      wanted = content;
      arm(intervalMs);
    },
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      writing = writing.then(write);
      await writing;
    },
  };
}

type TextRead =
  | { readonly tag: "absent" }
  | { readonly tag: "text"; readonly text: string }
  | { readonly tag: "unusable"; readonly detail: string };

function readText(path: string): TextRead {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new StateFileError(`${path} is not a regular file; move it away`);
    if (stat.size > BYTES_MAX) return { tag: "unusable", detail: `it has ${stat.size} bytes` };
    return { tag: "text", text: readFileSync(path, "utf8") };
  } catch (error) {
    if (error instanceof StateFileError) throw error;
    if (codeOf(error) === "ENOENT") return { tag: "absent" };
    throw new StateFileError(
      `${path} cannot be read (${codeOf(error)}); change its permissions or move it away`,
    );
  }
}

/** The version first: what a newer one has written is not damaged. */
function parseContent<T>(
  text: string,
  version: number,
  schema: z.ZodType<T>,
): { readonly tag: "read"; readonly content: T } | { readonly tag: "unusable"; readonly detail: string } {
  const frame = parseJson(z.object({ version: z.int(), content: z.unknown() }), text);
  if (frame.tag === "failed") return { tag: "unusable", detail: `it is damaged: ${frame.details[0] ?? ""}` };
  const { version: found, content } = frame.value;
  if (found !== version) {
    return { tag: "unusable", detail: `it has version ${found}, this node reads version ${version}` };
  }
  const parsed = parseValue(schema, content);
  if (parsed.tag === "parsed") return { tag: "read", content: parsed.value };
  return { tag: "unusable", detail: `it is damaged: ${parsed.details[0] ?? ""}` };
}

/** The new file has its name only when all of it is on disk. */
async function replaceFile(path: string, text: string): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  const partial = `${path}.partial`;
  const file = await open(partial, "w", FILE_MODE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
  await syncDirectory(directory);
}

/** Makes the new name durable too. Some platforms cannot open a directory; there the file system has to do. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The file is written; only a power cut within seconds could still bring the old one back.
  }
}
