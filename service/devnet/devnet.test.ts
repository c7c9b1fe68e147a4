import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { createAdminClient } from "../admin-client.ts";
import { replayAll } from "../cli/replay.ts";
import { sendPayments } from "../cli/tx.ts";
import { scratch } from "../recording.fixture.ts";
import { startNodeProcess } from "./child.ts";
import { type DevnetResult, isSuccess } from "./devnet.ts";
import { startNetwork } from "./network.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TO = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

function devnet(...args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ["--import", "tsx", "service/cli/main.ts", "devnet", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  return child;
}

/** Operator APIs of its nodes, once it feeds them. */
async function adminsOf(child: ChildProcess): Promise<readonly string[]> {
  const admins: string[] = [];
  const lines: string[] = [];
  if (child.stderr === null) return admins;
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    const [, admin] = /^node-\d+ +(http:\/\/\S+)$/.exec(line) ?? [];
    if (admin !== undefined) admins.push(admin);
    if (line.includes(" submitted, ")) {
      child.stderr.resume();
      return admins;
    }
  }
  throw new Error(`the devnet ended before it fed its nodes: ${lines.join("\n")}`);
}

// Starting processes is most of their time, waiting for each other the rest.
describe.concurrent("devnet", () => {
  test("devnet: three processes over real WebRTC end with equal pools, and their recordings replay", async () => {
    const directory = join(scratch(), "recordings");
    const child = devnet(...["--nodes", "3", "--rate", "20", "--for", "0", "--json", "--record", directory]);
    const output = text(child.stdout ?? Readable.from([]));
    const exit = once(child, "exit");
    const [admin = ""] = await adminsOf(child);
    await sendPayments(
      createAdminClient(admin),
      { fee: 9n, amount: 1n, to: TO, count: 5, from: 0 },
      () => undefined,
    );
    child.kill("SIGINT");
    expect(await exit).toEqual([0, null]);

    const result = JSON.parse(await output) as DevnetResult;
    expect(isSuccess(result)).toBe(true);
    expect(result).toMatchObject({ nodes: 3, degree: 2, rate: 20, equal: true, error: null });
    expect(result.submitted).toBeGreaterThan(0);
    expect(result.poolSize).toBe(result.submitted + 5);
    for (const node of result.perNode) {
      expect(node).toMatchObject({ peers: 2, poolSize: result.poolSize, digest: result.digest, exitCode: 0 });
    }

    const printed: string[] = [];
    const print = async (line: string): Promise<void> => {
      printed.push(line);
    };
    await replayAll(directory, {}, { print, note: (line) => printed.push(line) });
    expect(printed).toHaveLength(4);
    for (const line of printed.slice(0, 3))
      expect(line).toMatch(/node-\d: replayed \d+ inputs, \d+ hash(es)? equal/);
    expect(printed[3]).toBe("all 3 recordings are reproduced");
  });

  test("devnet: its nodes end even when it is killed", async () => {
    const child = devnet("--nodes", "1", "--for", "0", "--json");
    const admins = await adminsOf(child);
    expect(admins).toHaveLength(1);
    child.kill("SIGKILL");
    for (const admin of admins) {
      const { status } = createAdminClient(admin);
      while (
        await status().then(
          () => true,
          () => false,
        )
      )
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  test("devnet: a node that dies is named", async () => {
    const started = startNetwork({
      nodes: 1,
      degree: 0,
      seed: 1,
      record: null,
      note: () => undefined,
      onProcess: (child) => child.kill(),
      signal: new AbortController().signal,
    });
    await expect(started).rejects.toThrow("node-1 ended unexpectedly with signal SIGKILL");
  });

  test("devnet: of a node that cannot start, the end of its log is kept", async () => {
    const child = startNodeProcess("node-1", ["--no-such-option"]);
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.lastLines()).toEqual(["pollen: unknown option '--no-such-option'"]);
  });
});
