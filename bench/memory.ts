import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { ephemeralKey } from "../service/key-file.ts";
import { type RunningNode, startNode } from "../service/node.ts";
import { DEFAULT_SETTINGS } from "../service/node-settings.ts";
import { startListener } from "./connection.ts";
import { print, rounded } from "./measure.ts";
import { type Usage, usage } from "./usage.ts";

/**
 * What many connected peers cost the listener, in a process of its own: memory, threads, file descriptors, and the time
 * of the processor while nobody says anything but Ping.
 */

const PEERS = 300;
/** The first peers also pay for code that is compiled and buffers that are made once. */
const WARM_UP = 20;
const IDLE_MS = 20_000;

export async function benchMemory(peers = PEERS): Promise<void> {
  const { process: listener, address } = await startListener();
  const askListener = async (): Promise<Usage> => {
    listener.send("usage");
    const [answer]: unknown[] = await once(listener, "message");
    return answer as Usage;
  };
  const idleShare = async (): Promise<number> => {
    const before = await askListener();
    await pause(IDLE_MS);
    return ((await askListener()).cpuUs - before.cpuUs) / (1_000 * IDLE_MS);
  };
  const connect = async (): Promise<RunningNode> => {
    const node = await startNode({
      ...DEFAULT_SETTINGS,
      key: ephemeralKey(),
      peers: [address],
      peersMax: 10,
      peersMin: 0,
      log: pino({ level: "silent" }),
    });
    while (!node.state().peers.get(address.peerId)?.live) await pause(5);
    return node;
  };
  const nodes: RunningNode[] = [];
  while (nodes.length < WARM_UP) nodes.push(await connect());
  const idleFew = await idleShare();
  const [before, ownBefore] = [await askListener(), usage()];
  while (nodes.length < peers) nodes.push(await connect());
  const [after, ownAfter] = [await askListener(), usage()];
  const idleMany = await idleShare();
  const perPeer = (from: number, to: number): number => rounded((to - from) / (peers - WARM_UP));
  print({
    bench: "peers",
    peers,
    alive: nodes.filter((node) => node.state().peers.get(address.peerId)?.live).length,
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
