import { CommanderError } from "commander";
import type { ListenAddress } from "../listen.ts";

/**
 * Something the user can change. The message is one line, `what: what to do`; no stack is shown.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}

export const EXIT_USER_ERROR = 1;
const EXIT_USAGE = 2;
/** EX_SOFTWARE of sysexits.h: an invariant did not hold. */
export const EXIT_BUG = 70;
/** 128 and the number of SIGINT, as the shell has it. */
export const EXIT_INTERRUPTED = 130;

export interface Report {
  readonly exitCode: number;
  /** For standard error; null if there is nothing left to say. */
  readonly text: string | null;
}

/** What a command that failed says, and the code it exits with. */
export function reportOf(error: unknown): Report {
  // Commander has written its message already, or the help that was asked for.
  if (error instanceof CommanderError) return { exitCode: error.exitCode === 0 ? 0 : EXIT_USAGE, text: null };
  if (error instanceof UserError)
    return { exitCode: EXIT_USER_ERROR, text: `pollen: ${line(error.message)}` };
  return { exitCode: EXIT_BUG, text: `pollen: a bug: please report it\n${stackOf(error)}` };
}

/** The services write `what; what to do`. */
export const userErrorOf = (error: Error): UserError => new UserError(error.message.replace("; ", ": "));

/** @param flag the option that chose the address; @param freePort a port of this host that is not in use */
export function listenError(
  flag: string,
  { host, port }: ListenAddress,
  code: string,
  freePort: number | undefined,
): UserError {
  const place = `port ${port} on ${host}`;
  const example = freePort === undefined ? "" : ` ${formatListen({ host, port: freePort })}`;
  const explanations: Readonly<Record<string, string>> = {
    EADDRINUSE: `${place} is in use: stop the other process, or choose another port with ${flag}${example}`,
    EACCES: `${place} is reserved for the superuser: choose one above 1023 with ${flag}`,
    EADDRNOTAVAIL: `${host} is not an address of this machine: choose another with ${flag}`,
    ENOTFOUND: `${host} is not a known host: give an IP address of this machine with ${flag}`,
  };
  return new UserError(
    explanations[code] ?? `cannot listen on ${place} (${code}): choose another with ${flag}`,
  );
}

export const formatListen = ({ host, port }: ListenAddress): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/** The code of a system error, or of the one that caused it. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string" && "syscall" in error) return error.code;
  return systemCode(error.cause);
}

const line = (text: string): string => text.replace(/\s*\n\s*/g, " ");

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
