import { setTimeout as pause } from "node:timers/promises";
import type { RunningNode } from "../service/node.ts";
import { startListener } from "./connection.ts";
import { isConnected, join } from "./join.ts";
import { print, rounded } from "./measure.ts";
import { usage } from "./usage.ts";

/**
 * What many connected peers cost the listener, in a process of its own: memory, threads, file descriptors, and the time
 * of the processor while nobody says anything but Ping.
 */

const PEERS = 300;
/** The first peers also pay for code that is compiled and buffers that are made once. */
const WARM_UP = 20;
const IDLE_MS = 20_000;

export async function benchMemory(peers = PEERS): Promise<void> {
  const { process: listener, address, ask, cpuUs } = await startListener();
  const idleShare = async (): Promise<number> => {
    const beforeUs = await cpuUs();
    await pause(IDLE_MS);
    return ((await cpuUs()) - beforeUs) / (1_000 * IDLE_MS);
  };
  const nodes: RunningNode[] = [];
  while (nodes.length < WARM_UP) nodes.push(await join(address));
  const idleFew = await idleShare();
  const [before, ownBefore] = [await ask(), usage()];
  while (nodes.length < peers) nodes.push(await join(address));
  const [after, ownAfter] = [await ask(), usage()];
  const idleMany = await idleShare();
  const perPeer = (from: number, to: number): number => rounded((to - from) / (peers - WARM_UP));
  print({
    bench: "peers",
    peers,
    alive: nodes.filter((node) => isConnected(node, address)).length,
    kilobytesPerPeer: perPeer(before.rssBytes, after.rssBytes) / 1_000,
    megabytes: rounded(after.rssBytes / 1e6),
    threads: after.threads,
    threadsWithFew: before.threads,
    descriptors: after.descriptors,
    descriptorsPerPeer: perPeer(before.descriptors, after.descriptors),
    // Of one core.
    idlePercent: rounded(100 * idleMany),
    idlePercentWithFew: rounded(100 * idleFew),
    dialersThreads: ownAfter.threads,
    dialersDescriptorsPerPeer: perPeer(ownBefore.descriptors, ownAfter.descriptors),
  });
  await Promise.all(nodes.map((node) => node.stop()));
  listener.disconnect();
}
