import type { Command } from "commander";
import { expect, test } from "vitest";
import { DEFAULT_CONFIG, type NodeConfig } from "../config.ts";
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
  ["admissionPerIp", ["--admission-per-ip", "5"], 5],
  ["trustedProxy", ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "::1"], ["10.0.0.0/8", "::1"]],
  ["logLevel", ["--log-level", "trace"], "trace"],
  ["jsonLogs", ["--json-logs"], true],
])("node: the flag of %s, %o", async (key, args, meaning) => {
  expect(await configOf(...args)).toEqual({ ...DEFAULT_CONFIG, [key]: meaning });
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

test("no command means devnet; a misspelt one does not", () => {
  expect(withCommand([])).toEqual(["devnet"]);
  expect(withCommand(["--nodes", "3"])).toEqual(["devnet", "--nodes", "3"]);
  for (const args of [["--help"], ["-V"], ["nod"], ["node", "--help"]])
    expect(withCommand(args)).toEqual(args);
});
