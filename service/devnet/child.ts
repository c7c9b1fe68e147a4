import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { TSX_LOADER } from "../tsx-loader.ts";

/** One node of a devnet: a process of its own, exactly as `pollen node` makes it. */
export interface NodeProcess {
  readonly name: string;
  readonly ready: Promise<Ready>;
  /** Settles when the process has ended, for whatever reason; never rejects. */
  readonly exited: Promise<Exit>;
  /** SIGTERM, and SIGKILL for one that is still there after STOP_TIMEOUT_MS. */
  readonly stop: () => Promise<Exit>;
  readonly kill: () => void;
  /** It has ended because of `kill`. */
  readonly isKilled: () => boolean;
  /** The last lines of its log. */
  readonly lastLines: () => readonly string[];
}

interface Ready {
  readonly peerId: string;
  /** Null for one that does not listen. */
  readonly address: string | null;
  readonly admin: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The operator's Ctrl-C must end a node in 5 s (P33); what takes longer hangs. */
const STOP_TIMEOUT_MS = 6_000;
const LINES_MAX = 20;
const LINE_CHARACTERS_MAX = 500;

const MAIN = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

/** Starts `pollen node` with these arguments. It ends with its parent: when the IPC channel closes. */
export function startNodeProcess(name: string, args: readonly string[]): NodeProcess {
  const child = fork(MAIN, ["node", ...args], {
    execArgv: [...process.execArgv, "--import", TSX_LOADER],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    // In a group of its own, so that Ctrl-C in the terminal reaches only us and the report can be finished.
    detached: true,
  });
  const lines = collectLines(child);
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: null, signal: null }));
  });
  killWithUs(child, exited);
  const ready = new Promise<Ready>((resolve) => {
    child.on("message", (message) => {
      if (isReady(message)) resolve(message);
    });
  });

  let isKilled = false;
  return {
    name,
    ready,
    exited,
    stop: async () => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
    kill: () => {
      isKilled = true;
      child.kill("SIGKILL");
    },
    isKilled: () => isKilled,
    lastLines: () => lines,
  };
}

const living = new Set<ChildProcess>();

/** A node would end by itself when its channel closes; one that hangs would not. */
function killWithUs(child: ChildProcess, exited: Promise<Exit>): void {
  if (living.size === 0) process.once("exit", killAll);
  living.add(child);
  void exited.then(() => {
    living.delete(child);
    if (living.size === 0) process.removeListener("exit", killAll);
  });
}

function killAll(): void {
  for (const child of living) child.kill("SIGKILL");
}

export const exitText = ({ code, signal }: Exit): string =>
  signal === null ? `exit code ${code ?? "unknown"}` : `signal ${signal}`;

const isReady = (message: unknown): message is Ready =>
  typeof message === "object" && message !== null && "type" in message && message.type === "ready";

/** Keeps the last lines of standard error; more would only grow. */
function collectLines(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  let rest = "";
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = (parts.pop() ?? "").slice(-LINE_CHARACTERS_MAX);
    lines.push(...parts.map((line) => line.slice(0, LINE_CHARACTERS_MAX)));
    lines.splice(0, Math.max(0, lines.length - LINES_MAX));
  });
  return lines;
}
