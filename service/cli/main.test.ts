import type { Command } from "commander";
import { expect, test } from "vitest";
import { DEFAULT_CONFIG, type NodeConfig } from "../config.ts";
import { UserError } from "./errors.ts";
import { buildProgram, withCommand } from "./main.ts";
import { nodeCommand } from "./node.ts";

const PEER = "/ip4/127.0.0.1/tcp/7300/http/p2p/12D3KooWQy6cLvrYWKEcxh3rbDN2GrH6i3wfqK4cGEqQkMYJjcvF";

const configOf = async (...args: readonly string[]): Promise<NodeConfig> => {
  const configs: NodeConfig[] = [];
  const command = nodeCommand((config) => {
    configs.push(config);
    return Promise.resolve();
  });
  await command.parseAsync(args, { from: "user" });
  return configs[0] as NodeConfig;
};

test.each<[keyof NodeConfig, readonly string[], unknown]>([
  ["listen", ["--listen", "0.0.0.0:80"], { host: "0.0.0.0", port: 80 }],
  ["listen", ["--listen", "none"], null],
  ["admin", ["--admin", "[::1]:0"], { host: "::1", port: 0 }],
  ["admin", ["--admin", "none"], null],
  ["peer", ["--peer", PEER, "--peer", PEER.replace("7300", "7301")], [7_300, 7_301].map(withPort)],
  ["data", ["--data", "alice"], "alice"],
  ["record", ["--record", "runs/1"], "runs/1"],
  ["maxPeers", ["--max-peers", "7"], 7],
  ["poolSize", ["--pool-size", "9"], 9],
  ["slot", ["--slot", "250ms"], 250],
  ["genesisTime", ["--genesis-time", "2026-11-22T12:00:00Z"], Date.UTC(2026, 10, 22, 12)],
  ["genesisTime", ["--genesis-time", "1800000000000"], 1_800_000_000_000],
  ["produce", ["--produce"], "drawn"],
  ["produce", ["--produce", "5"], 5],
  ["snarkWorker", ["--snark-worker"], true],
  ["admissionPerIp", ["--admission-per-ip", "5"], 5],
  ["trustedProxy", ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "::1"], ["10.0.0.0/8", "::1"]],
  ["logLevel", ["--log-level", "trace"], "trace"],
  ["jsonLogs", ["--json-logs"], true],
])("node: the flag of %s, %o", async (key, args, meaning) => {
  expect(await configOf(...args)).toEqual({ ...DEFAULT_CONFIG, [key]: meaning });
});

test("node: --fee is for a worker alone", async () => {
  expect(await configOf("--snark-worker", "--fee", "7")).toMatchObject({ snarkWorker: true, fee: 7n });
  await expect(configOf("--fee", "7")).rejects.toThrow(
    /^--fee applies to SNARK workers only: add --snark-worker or remove --fee$/,
  );
});

function withPort(port: number): unknown {
  return expect.objectContaining({ port });
}

/** What a command line that commander refuses writes, and how it ends. */
async function refusal(
  ...args: readonly string[]
): Promise<{ readonly code: string; readonly text: string }> {
  let text = "";
  const program = buildProgram();
  for (const command of [
    program,
    ...program.commands,
    ...program.commands.flatMap((each) => each.commands),
  ]) {
    command.configureOutput({
      writeErr: (part) => {
        text += part;
      },
      writeOut: (part) => {
        text += part;
      },
    });
  }
  const error = await program.parseAsync(args, { from: "user" }).catch((thrown: unknown) => thrown);
  return { code: (error as { code: string }).code, text };
}

test.each([
  [["nod"], "commander.unknownCommand", "pollen: unknown command 'nod' (Did you mean node?)\n"],
  [
    ["node", "--lisen"],
    "commander.unknownOption",
    "pollen: unknown option '--lisen' (Did you mean --listen?)\n",
  ],
  [
    ["node", "extra"],
    "commander.excessArguments",
    "pollen: too many arguments for 'node'. Expected 0 arguments but got 1.\n",
  ],
  [
    ["key", "show"],
    "commander.missingMandatoryOptionValue",
    "pollen: required option '--data <dir>' not specified\n",
  ],
  [
    ["node", "--max-peers", "0"],
    "commander.invalidArgument",
    "pollen: option '--max-peers <n>' argument '0' is invalid: expected at least 1, got 0\n",
  ],
  [
    ["node", "--produce", "64"],
    "commander.invalidArgument",
    "pollen: option '--produce [account]' argument '64' is invalid: expected the number of a test account, 0 to 63, got 64\n",
  ],
  [
    ["node", "--slot", "3"],
    "commander.invalidArgument",
    "pollen: option '--slot <time>' argument '3' is invalid: expected 100ms to 1h, got \"3\"\n",
  ],
  [
    ["devnet", "--late", "11"],
    "commander.invalidArgument",
    "pollen: option '--late <n>' argument '11' is invalid: expected late nodes from 0 to 10.\n",
  ],
  [
    ["key", "new", "--data", "a", "--out", "b"],
    "commander.conflictingOption",
    "pollen: option '--data <dir>' cannot be used with option '--out <file>'\n",
  ],
])("usage: %o is refused in one line", async (args, code, text) => {
  expect(await refusal(...args)).toEqual({ code, text });
});

interface Named {
  readonly path: readonly string[];
  readonly isLeaf: boolean;
}

const named = ({ commands }: Command, path: readonly string[] = []): readonly Named[] => [
  { path, isLeaf: commands.length === 0 },
  ...commands.flatMap((each) => named(each, [...path, each.name()])),
];

test.each(named(buildProgram()))(
  "help: $path has one, with examples where something is run",
  async ({ path, isLeaf }) => {
    const { code, text } = await refusal(...path, "--help");
    expect(code).toBe("commander.helpDisplayed");
    expect(text).toMatch(/^Usage: pollen /);
    if (isLeaf) expect(text).toMatch(/\n {2}\$ pollen/);
  },
);

test.each([
  [["--for", "0", "--restart"], /--restart and --late .*: give one with --for/],
  [["--for", "0", "--late", "1"], /--restart and --late .*: give one with --for/],
  [["--nodes", "1", "--restart"], /--restart needs at least 2 nodes: give more --nodes/],
  [
    ["--nodes", "2", "--producers", "3"],
    /2 nodes cannot be 3 producers: give more --nodes or fewer --producers/,
  ],
  [["--nodes", "2", "--workers", "3"], /2 nodes cannot be 3 workers/],
])("devnet: %o makes no sense, and is refused before anything is started", async (args, message) => {
  const running = buildProgram().parseAsync(["devnet", ...args], { from: "user" });
  await expect(running).rejects.toThrow(message);
  await expect(running).rejects.toBeInstanceOf(UserError);
});

test.each<[keyof NodeConfig, string]>([
  ["slot", "--slot <time>"],
  ["genesisTime", "--genesis-time <time>"],
  ["produce", "--produce [account]"],
  ["snarkWorker", "--snark-worker"],
  ["fee", "--fee <n>"],
  ["poolSize", "--pool-size <n>"],
])("node: %s is in the help, as %s", async (_key, flag) => {
  expect((await refusal("node", "--help")).text).toContain(`  ${flag} `);
});

test("no command means devnet; a misspelt one does not", () => {
  expect(withCommand([])).toEqual(["devnet"]);
  expect(withCommand(["--nodes", "3"])).toEqual(["devnet", "--nodes", "3"]);
  for (const args of [["--help"], ["-V"], ["nod"], ["node", "--help"]])
    expect(withCommand(args)).toEqual(args);
});
