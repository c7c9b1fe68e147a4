import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { constants, setPriority } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { Hash } from "../core/ids.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { testAccountKey } from "../service/chain/genesis.ts";
import { signTransfer } from "../service/chain/transfer.ts";
import type { RunningNode } from "../service/node.ts";
import { startListener } from "./connection.ts";
import { join } from "./join.ts";
import { p99, print, rounded } from "./measure.ts";

/**
 * A node in a process of its own, through which two honest ones exchange transactions: alone, with peers that push
 * garbage as fast as the transport takes it, and with peers whose process stands still.
 */

const LIARS = 8;
const READERS = 100;
const PHASE_S = 30;
const PER_SECOND = 10;

export async function benchHostile(): Promise<void> {
  const { process: hub, address, ask } = await startListener();
  const [from, to] = [await join(address), await join(address)];
  const propagate = createPropagation(from, to);
  await propagate(5);
  await ask();
  const idle = await propagate(PHASE_S);
  const quiet = await ask();

  let connected = 0;
  const liars = startHerd("liars", address, LIARS);
  liars.on("message", () => {
    connected += 1;
  });
  // They stand for other machines: the processor is ours first.
  if (liars.pid !== undefined) setPriority(liars.pid, constants.priority.PRIORITY_LOW);
  await once(liars, "message");
  const attacked = await propagate(PHASE_S);
  const after = await ask();
  liars.kill("SIGKILL");
  print({
    bench: "garbage",
    liars: LIARS,
    connections: connected,
    endings: after.endings,
    propagationIdleMsP99: rounded(p99(idle)),
    propagationMsP99: rounded(p99(attacked)),
    ratio: rounded(p99(attacked) / p99(idle)),
    lost: PHASE_S * PER_SECOND - attacked.length,
    loopDelayMsP99: rounded(after.delayMsP99),
    loopDelayIdleMsP99: rounded(quiet.delayMsP99),
    growthMegabytes: rounded((after.rssBytes - quiet.rssBytes) / 1e6),
  });

  const readers = startHerd("readers", address, READERS);
  await once(readers, "message");
  const full = await ask();
  readers.kill("SIGSTOP");
  const stalled = await propagate(PHASE_S);
  const end = await ask();
  print({
    bench: "stalled readers",
    readers: READERS,
    peersBefore: full.peers,
    peersAfter: end.peers,
    propagationMsP99: rounded(p99(stalled)),
    growthMegabytes: rounded((end.rssBytes - full.rssBytes) / 1e6),
  });
  readers.kill("SIGKILL");
  await Promise.all([from.stop(), to.stop()]);
  hub.disconnect();
}

const startHerd = (kind: "liars" | "readers", address: DialAddress, count: number): ChildProcess =>
  fork(new URL("./herd.ts", import.meta.url), [kind, formatMultiaddr(address), String(count)], {
    execArgv: ["--import", "tsx"],
  });

/** Submits to one node and waits for the other, ms each; what has not come at the end is missing. */
function createPropagation(
  from: RunningNode,
  to: RunningNode,
): (seconds: number) => Promise<readonly number[]> {
  const { chainId } = from.state().config;
  let nonce = 1;
  return async (seconds) => {
    const submitted = new Map<Hash, number>();
    const tookMs: number[] = [];
    const look = setInterval(() => {
      const { entries } = to.state().pools.transaction;
      for (const [hash, atMs] of submitted) {
        if (!entries.has(hash)) continue;
        submitted.delete(hash);
        tookMs.push(performance.now() - atMs);
      }
    }, 2);
    for (let sent = 0; sent < seconds * PER_SECOND; sent++) {
      const body = { to: "5e".repeat(32), amount: 1n, fee: 5n, nonce: nonce++ };
      const bytes = await signTransfer(testAccountKey(0), chainId, body);
      const atMs = performance.now();
      const result = await from.command({ type: "command/submit", pool: "transaction", bytes });
      if (result.tag !== "submitted") throw new Error(`not submitted: ${result.tag}`);
      submitted.set(result.hash, atMs);
      await pause(1_000 / PER_SECOND);
    }
    for (let waits = 0; submitted.size > 0 && waits < 50; waits++) await pause(100);
    clearInterval(look);
    return tookMs;
  };
}
