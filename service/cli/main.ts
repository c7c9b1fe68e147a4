import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { VERSION } from "../version.ts";
import { addressesCommand } from "./addresses.ts";
import { bansCommand } from "./bans.ts";
import { devnetCommand } from "./devnet.ts";
import { reportOf } from "./errors.ts";
import { fuzzCommand } from "./fuzz.ts";
import { keyCommand } from "./key.ts";
import { nodeCommand } from "./node.ts";
import { replayCommand } from "./replay.ts";
import { txCommand } from "./tx.ts";

const DEFAULT_COMMAND = "devnet";

/** The whole command line. Parsing throws CommanderError instead of ending the process. */
export function buildProgram(): Command {
  const program = new Command("pollen")
    .description("Peer-to-peer layer for light-client blockchains: WebRTC, by permission only")
    .version(VERSION)
    .addCommand(devnetCommand())
    .addCommand(nodeCommand())
    .addCommand(txCommand())
    .addCommand(bansCommand())
    .addCommand(addressesCommand())
    .addCommand(replayCommand())
    .addCommand(fuzzCommand())
    .addCommand(keyCommand())
    .addHelpText("after", EXAMPLES);
  // A command that was made by itself inherits nothing.
  for (const command of withSubcommands(program)) {
    command.exitOverride().configureOutput({ outputError: (text, write) => write(usageError(text)) });
  }
  return program;
}

/** Runs one command line. An error is one line on standard error and ends the process with its exit code. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(withCommand(args), { from: "user" });
  } catch (error) {
    const { exitCode, text } = reportOf(error);
    // Not just the exit code: what a command has left open, such as the channel to a parent, must not keep it alive.
    process.stderr.write(text === null ? "" : `${text}\n`, () => process.exit(exitCode));
  }
}

const EXAMPLES = `
Without a command: ${DEFAULT_COMMAND}.

Examples:
  $ pollen
  $ pollen node --listen 127.0.0.1:7300 --data alice
  $ pollen help node`;

/** Options of the program itself; all others belong to a command. */
const OWN_OPTIONS: readonly (string | undefined)[] = ["-h", "--help", "-V", "--version"];

/** Not commander's default command: that one would take every misspelt command for its own argument. */
export function withCommand(args: readonly string[]): readonly string[] {
  const [first] = args;
  const isMissing = first === undefined || (first.startsWith("-") && !OWN_OPTIONS.includes(first));
  return isMissing ? [DEFAULT_COMMAND, ...args] : args;
}

const withSubcommands = (command: Command): readonly Command[] => [
  command,
  ...command.commands.flatMap(withSubcommands),
];

/** Commander writes `error: what` and the nearest name in a line of its own; ours is one line. */
function usageError(text: string): string {
  if (!text.startsWith("error: ")) return text;
  const line = text
    .slice("error: ".length)
    .trim()
    .replace(/\s*\n\s*/g, " ")
    .replace(" is invalid. ", " is invalid: ");
  return `pollen: ${line}\n`;
}

const isEntry = (): boolean => {
  const [, script] = process.argv;
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
};

if (isEntry()) await main(process.argv.slice(2));
