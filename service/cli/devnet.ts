import { existsSync, readdirSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { DEFAULT_CONFIG, settingSchemas } from "../config.ts";
import { type DevnetOptions, startDevnet } from "../devnet/devnet.ts";
import { createDisplay } from "../devnet/display.ts";
import { defaultProducers, defaultWorkers } from "../devnet/plan.ts";
import { type DevnetResult, isSuccess } from "../devnet/result.ts";
import { EXIT_INTERRUPTED, UserError } from "./errors.ts";
import { onInterrupt } from "./lifetime.ts";
import { duration, numberParserOf, parserOf, wholeNumber } from "./options.ts";

interface Flags {
  readonly nodes: number;
  readonly degree?: number;
  readonly byRelay?: true;
  readonly rate: number;
  /** ms; 0: until Ctrl-C */
  readonly for?: number;
  /** ms */
  readonly slot?: number;
  readonly producers?: number;
  readonly workers?: number;
  readonly poolSize?: number;
  readonly late: number;
  readonly restart?: true;
  readonly seed: number;
  readonly record?: string;
  readonly json?: true;
}

/** Each node is a process of about 100 MB; and each has a test account of its own. */
const NODES_MAX = 50;
const RATE_MAX = 1_000;
const DEGREE_DEFAULT = 3;
const SEED_MAX = 2 ** 32;
const LATE_MAX = 10;
const SLOT_DEFAULT_MS = 2_000;

export const devnetCommand = (): Command =>
  new Command("devnet")
    .description("run a network of real nodes on this machine and feed it with transactions")
    .option("--nodes <n>", "processes to start", wholeNumber("nodes", 1, NODES_MAX), 5)
    .option(
      "--degree <n>",
      `neighbours of each node (default: ${DEGREE_DEFAULT})`,
      wholeNumber("neighbours", 1, NODES_MAX - 1),
    )
    .option(
      "--by-relay",
      "only the first node listens; the others know only that one, and find each other through it",
    )
    .option("--rate <n>", "transactions per second, all nodes together", parseRate, 5)
    .option(
      "--for <time>",
      "how long to send transactions: 500ms, 30s, 2m, 1h; 0 is until Ctrl-C (default: 30s)",
      duration({ orZero: true }),
    )
    .option(
      "--producers <n>",
      "nodes that make blocks (default: half of them, at least 1)",
      wholeNumber("producers", 0, NODES_MAX),
    )
    .option(
      "--workers <n>",
      "nodes that make SNARK work, each at a different fee (default: 1 if there are 3 nodes or more)",
      wholeNumber("workers", 0, NODES_MAX),
    )
    .option(
      "--slot <time>",
      `duration of a slot (default: ${SLOT_DEFAULT_MS / 1_000}s)`,
      parserOf(settingSchemas.slot),
    )
    .option(
      "--pool-size <n>",
      `limit on transactions in each pool (default: ${DEFAULT_CONFIG.poolSize})`,
      numberParserOf(settingSchemas.poolSize),
    )
    .option(
      "--late <n>",
      "nodes that join after three quarters of the time",
      wholeNumber("late nodes", 0, LATE_MAX),
      0,
    )
    .option("--restart", "kill a node at half time, and restart it with the same key")
    .option("--seed <n>", "seed of the graph and the fees", wholeNumber("the seed", 0, SEED_MAX), 1)
    .option("--record <dir>", "each node records to a directory inside this new one, for `pollen replay`")
    .option("--json", "print one object with the result; everything else goes to standard error")
    .addHelpText("after", EXAMPLES)
    .action(run);

const EXAMPLES = `
Examples:
  $ pollen devnet --nodes 3 --rate 50 --for 1m
  $ pollen devnet --for 0 --record runs/1
  $ pollen devnet --nodes 6 --slot 1s --workers 2 --for 2m --late 1 --restart
  $ pollen devnet --nodes 8 --by-relay
  $ pollen devnet --json --for 5s

It exits with 0 only if all nodes end with the same tip, the same ledger and the same pools, nothing that was
submitted is lost, and nobody was accused of a violation.`;

/** @throws UserError unless everything holds that `isSuccess` asks for */
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

function optionsOf(flags: Flags, note: (text: string) => void): DevnetOptions {
  const { nodes, rate, seed, late, record = null } = flags;
  const restart = flags.restart ?? false;
  const durationMs = flags.for ?? FOR_DEFAULT_MS;
  if (durationMs === 0 && (restart || late > 0))
    throw new UserError("--restart and --late need a limited time: give one with --for");
  if (nodes < 2 && restart) throw new UserError("--restart needs at least 2 nodes: give more --nodes");
  if (record !== null) assertNew(record);
  return {
    nodes,
    producers: roleCount("producers", flags.producers ?? defaultProducers(nodes), nodes),
    workers: roleCount("workers", flags.workers ?? defaultWorkers(nodes), nodes),
    late,
    restart,
    degree: degreeFor(nodes, flags.degree, note),
    byRelay: flags.byRelay ?? false,
    ratePerSecond: rate,
    durationMs: durationMs === 0 ? null : durationMs,
    slotMs: flags.slot ?? SLOT_DEFAULT_MS,
    poolSize: flags.poolSize ?? null,
    seed,
    record,
  };
}

const FOR_DEFAULT_MS = 30_000;

function roleCount(role: "producers" | "workers", wanted: number, nodes: number): number {
  if (wanted <= nodes) return wanted;
  throw new UserError(`${nodes} nodes cannot be ${wanted} ${role}: give more --nodes or fewer --${role}`);
}

function degreeFor(nodes: number, wanted: number | undefined, note: (text: string) => void): number {
  const most = nodes - 1;
  const degree = Math.min(most, wanted ?? DEGREE_DEFAULT);
  if (wanted !== undefined && wanted > most) {
    note(
      `in a network of ${nodes} a node has at most ${most} neighbours: --degree ${wanted} is taken as ${most}`,
    );
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
  const { error, tipsEqual, poolsEqual, submitted, lost, violations, perNode } = result;
  if (error !== null) return error;
  if (!tipsEqual) return "the tips did not become equal";
  if (!poolsEqual) return "the pools did not become equal";
  if (lost > 0) return `${lost} of ${submitted} transactions are neither in the chain nor in the pools`;
  if (violations > 0)
    return `${violations} connections ended for a violation, between nodes that are all honest`;
  const unclean = perNode.filter(({ exitCode }) => exitCode !== 0).map(({ name }) => name);
  return `these nodes did not end cleanly: ${unclean.join(", ")}`;
}

function parseRate(text: string): number {
  const rate = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && rate <= RATE_MAX) return rate;
  throw new InvalidArgumentError(`expected transactions per second from 0 to ${RATE_MAX}.`);
}
