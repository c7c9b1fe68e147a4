import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test, vi } from "vitest";
import { API_POOLS, createAdminClient } from "../admin-client.ts";
import { replayAll } from "../cli/replay.ts";
import { sendPayments } from "../cli/tx.ts";
import { scratch } from "../recording.fixture.ts";
import { startNodeProcess } from "./child.ts";
import { startNetwork } from "./network.ts";
import { type DevnetResult, isSuccess } from "./result.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TO = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

// Up to five processes for each, and each loads everything; on a busy machine that takes long.
vi.setConfig({ testTimeout: 180_000 });

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

const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

// Starting processes is most of their time, waiting for each other the rest.
describe.concurrent("devnet", () => {
  test("devnet: three processes over real WebRTC end with one chain and equal pools, and their recordings replay", async () => {
    const directory = join(scratch(), "recordings");
    const child = devnet(
      ...["--nodes", "3", "--rate", "20", "--slot", "500ms", "--for", "0", "--json", "--record", directory],
    );
    const output = text(child.stdout ?? Readable.from([]));
    const exit = once(child, "exit");
    const [admin = ""] = await adminsOf(child);
    const client = createAdminClient(admin);
    await sendPayments(client, { fee: 9n, amount: 1n, to: TO, count: 5, from: 0 }, () => undefined);
    // By now something was submitted: one of the next blocks has it.
    const { height } = (await client.status()).bestTip;
    while ((await client.status()).bestTip.height < height + 3) await later();
    child.kill("SIGINT");
    expect(await exit).toEqual([0, null]);

    const result = JSON.parse(await output) as DevnetResult;
    expect(isSuccess(result)).toBe(true);
    expect(result).toMatchObject({
      ...{ nodes: 3, degree: 2, rate: 20, slotMs: 500, producers: 1, workers: 1 },
      ...{ equal: true, tipsEqual: true, poolsEqual: true, lost: 0, violations: 0, error: null },
      ...{ late: null, restarted: null },
    });
    expect(result.submitted).toBeGreaterThan(0);
    expect(result.included).toBeGreaterThan(0);
    expect(result.everywhere + result.included + result.invalidated).toBe(result.submitted);
    expect(result.height).toBeGreaterThanOrEqual(3);
    expect(result.bodiesPerItem).toBeGreaterThan(0);
    for (const node of result.perNode) {
      expect(node).toMatchObject({ peers: 2, height: result.height, tip: result.tip, exitCode: 0 });
      for (const pool of API_POOLS) expect(node.pools[pool]).toEqual(result.pools[pool]);
    }

    const printed: string[] = [];
    const print = async (line: string): Promise<void> => {
      printed.push(line);
    };
    await replayAll(directory, {}, { print, note: () => undefined });
    expect(printed).toHaveLength(4);
    for (const line of printed.slice(0, 3))
      expect(line).toMatch(/node-\d: replayed [\d,]+ inputs, [\d,]+ hash(es)? equal/);
    expect(printed[3]).toBe("all 3 recordings are reproduced");
  });

  test("devnet: a node that comes late, and one that is killed and started again, end with what all have", async () => {
    const flags = ["--rate", "10", "--slot", "500ms", "--for", "12s", "--late", "1", "--restart", "--json"];
    const child = devnet("--nodes", "3", "--workers", "0", ...flags);
    const [[code], output] = await Promise.all([
      once(child, "exit"),
      text(child.stdout ?? Readable.from([])),
    ]);
    const result = JSON.parse(output) as DevnetResult;
    expect(result).toMatchObject({ error: null, tipsEqual: true, poolsEqual: true, lost: 0, violations: 0 });
    expect(code).toBe(0);
    expect(result.perNode.map(({ name, height }) => [name, height])).toEqual(
      ["node-1", "node-2", "node-3", "late-1"].map((name) => [name, result.height]),
    );
    for (const recovery of [result.late, result.restarted]) {
      expect(recovery).toEqual({
        ms: expect.any(Number),
        bytes: expect.any(Number),
        blocks: expect.any(Number),
      });
      expect(recovery?.bytes).toBeGreaterThan(1_000);
      expect(recovery?.blocks).toBeGreaterThan(1);
    }
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
        await later();
    }
  });

  test("devnet: a node that dies is named", async () => {
    const started = startNetwork({
      ...{ nodes: 1, degree: 0, seed: 1, producers: 1, workers: 0, late: 0, restart: false, byRelay: false },
      ...{ relay: null, slotMs: 1_000, poolSize: null, genesisMs: Date.now(), record: null, data: scratch() },
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
