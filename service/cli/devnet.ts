import { existsSync, readdirSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { type DevnetOptions, type DevnetResult, isSuccess, startDevnet } from "../devnet/devnet.ts";
import { createDisplay } from "../devnet/display.ts";
import { UserError } from "./errors.ts";

interface Flags {
  readonly nodes: number;
  readonly degree?: number;
  readonly rate: number;
  /** ms; 0: until Ctrl-C */
  readonly for: number;
  readonly seed: number;
  readonly record?: string;
  readonly json?: true;
}

/** Each node is a process of about 100 MB; and each has a test account of its own. */
const NODES_MAX = 50;
const RATE_MAX = 1_000;
const DEGREE_DEFAULT = 3;
const SEED_MAX = 2 ** 32;

export const devnetCommand = (): Command =>
  new Command("devnet")
    .description("run a network of real nodes on this machine and feed it with transactions")
    .option("--nodes <n>", "processes to start", wholeNumber("nodes", 1, NODES_MAX), 5)
    .option(
      "--degree <n>",
      `neighbours of each node (default: ${DEGREE_DEFAULT})`,
      wholeNumber("neighbours", 1, NODES_MAX - 1),
    )
    .option("--rate <n>", "transactions per second, of all nodes together", parseRate, 5)
    .option("--for <time>", "how long to feed: 500ms, 30s, 2m, 1h; 0 is until Ctrl-C", parseDuration, 30_000)
    .option("--seed <n>", "another graph, other fees", wholeNumber("the seed", 0, SEED_MAX), 1)
    .option("--record <dir>", "each node records to a directory inside this new one, for `pollen replay`")
    .option("--json", "print one object with the result; everything else goes to standard error")
    .addHelpText("after", EXAMPLES)
    .action(run);

const EXAMPLES = `
Examples:
  $ pollen devnet --nodes 3 --rate 50 --for 1m
  $ pollen devnet --for 0 --record runs/1
  $ pollen devnet --json --for 5s

It exits with 0 only if all pools ended equal, with everything that was submitted.`;

/** @throws UserError unless all pools ended equal and all nodes ended cleanly */
async function run(flags: Flags): Promise<void> {
  const stream = flags.json ? process.stderr : process.stdout;
  const display = createDisplay(stream);
  const options = optionsOf(flags, display.note);
  const devnet = startDevnet(options, display);
  const stopListening = onInterrupt(devnet.interrupt, () => {
    devnet.kill();
    process.exit(EXIT_INTERRUPTED);
  });
  const result = await devnet.result;
  stopListening();
  if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  if (!isSuccess(result)) throw new UserError(failureOf(result));
}

/** 128 and the number of SIGINT, as the shell has it. */
const EXIT_INTERRUPTED = 130;

function optionsOf(flags: Flags, note: (text: string) => void): DevnetOptions {
  const { nodes, rate, seed, record = null } = flags;
  if (record !== null) assertNew(record);
  return {
    nodes,
    degree: degreeFor(nodes, flags.degree, note),
    ratePerSecond: rate,
    durationMs: flags.for === 0 ? null : flags.for,
    seed,
    record,
  };
}

function degreeFor(nodes: number, wanted: number | undefined, note: (text: string) => void): number {
  const most = nodes - 1;
  const degree = Math.min(most, wanted ?? DEGREE_DEFAULT);
  if (wanted !== undefined && wanted > most) {
    note(`a node of ${nodes} has at most ${most} neighbours: --degree ${wanted} is taken as ${most}`);
  }
  if (degree < 2 && nodes > 2) {
    note(`with one neighbour each, ${nodes} nodes cannot all be connected: --degree 1 is taken as 2`);
    return 2;
  }
  return degree;
}

function assertNew(directory: string): void {
  if (!existsSync(directory)) return;
  try {
    if (readdirSync(directory).length === 0) return;
  } catch {
    throw new UserError(`${directory} is not a directory: choose another with --record`);
  }
  throw new UserError(`${directory} is not empty: choose a new directory for the recordings with --record`);
}

function failureOf(result: DevnetResult): string {
  const { error, equal, submitted, accepted, everywhere, perNode } = result;
  if (error !== null) return error;
  if (accepted < submitted)
    return `the nodes did not accept ${submitted - accepted} of ${submitted} transactions`;
  if (!equal || everywhere < submitted) return "the pools did not become equal";
  const unclean = perNode.filter(({ exitCode }) => exitCode !== 0).map(({ name }) => name);
  return `these nodes did not end cleanly: ${unclean.join(", ")}`;
}

/** A terminal signals the whole group of processes, and those that started us pass it on: that is one wish. */
const SIGNAL_ECHO_MS = 100;

/** The first signal, or the end of the process that started us, ends the run in order; the second at once. */
function onInterrupt(first: () => void, second: () => void): () => void {
  let firstMs: number | undefined;
  const interrupt = (): void => {
    if (firstMs === undefined) {
      firstMs = performance.now();
      first();
    } else if (performance.now() - firstMs > SIGNAL_ECHO_MS) {
      second();
    }
  };
  const events = ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const;
  for (const event of events) process.on(event, interrupt);
  // Only listening for its end, we do not wait for the process that started us.
  process.channel?.unref();
  return () => {
    for (const event of events) process.removeListener(event, interrupt);
  };
}

const wholeNumber =
  (what: string, least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected ${what} from ${least} to ${most}.`);
  };

function parseRate(text: string): number {
  const rate = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && rate <= RATE_MAX) return rate;
  throw new InvalidArgumentError(`expected transactions per second from 0 to ${RATE_MAX}.`);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function parseDuration(text: string): number {
  if (text === "0") return 0;
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(amount) * (UNIT_MS[unit] ?? Number.NaN);
  if (ms > 0) return ms;
  throw new InvalidArgumentError("expected a duration such as 500ms, 30s, 2m or 1h, or 0.");
}
