import { once } from "node:events";
import { pino } from "pino";
import { ephemeralKey } from "../service/key-file.ts";
import { type RunningNode, startNode } from "../service/node.ts";
import { DEFAULT_SETTINGS } from "../service/node-settings.ts";
import { startListener } from "./connection.ts";
import { print, rounded } from "./measure.ts";

/** What a connected peer costs the listener: resident memory of its process, native part included. */

const PEERS = 60;

export async function benchMemory(): Promise<void> {
  const { process: listener, address } = await startListener();
  const rss = async (): Promise<number> => {
    listener.send("rss");
    const [bytes]: unknown[] = await once(listener, "message");
    return Number(bytes);
  };
  const connect = async (): Promise<RunningNode> => {
    const node = await startNode({
      ...DEFAULT_SETTINGS,
      key: ephemeralKey(),
      peers: [address],
      peersMax: 10,
      log: pino({ level: "silent" }),
    });
    while (!node.state().peers.get(address.peerId)?.live)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return node;
  };
  // The first peers also pay for code that is compiled and buffers that are made once.
  const nodes: RunningNode[] = [];
  for (let peer = 0; peer < PEERS / 3; peer++) nodes.push(await connect());
  const before = await rss();
  for (let peer = 0; peer < PEERS; peer++) nodes.push(await connect());
  const after = await rss();
  print({
    bench: "memory per connected peer",
    peers: PEERS,
    kilobytes: rounded((after - before) / PEERS / 1_000),
  });
  await Promise.all(nodes.map((node) => node.stop()));
  listener.disconnect();
}
