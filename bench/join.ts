import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import type { DialAddress } from "../core/multiaddr.ts";
import { ephemeralKey } from "../service/key-file.ts";
import { type RunningNode, startNode } from "../service/node.ts";
import { DEFAULT_SETTINGS } from "../service/node-settings.ts";

const POLL_MS = 2;

/** A new node that knows only this one and looks for nobody else. */
export const startDialer = (address: DialAddress): Promise<RunningNode> =>
  startNode({
    ...DEFAULT_SETTINGS,
    key: ephemeralKey(),
    peers: [address],
    peersMin: 0,
    peersMax: 10,
    log: pino({ level: "silent" }),
  });

export const isConnected = (node: RunningNode, { peerId }: Pick<DialAddress, "peerId">): boolean =>
  node.state().peers.get(peerId)?.live != null;

/** The same, when it is connected. */
export async function join(address: DialAddress): Promise<RunningNode> {
  const node = await startDialer(address);
  while (!isConnected(node, address)) await pause(POLL_MS);
  return node;
}
