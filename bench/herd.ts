import { randomBytes, randomInt } from "node:crypto";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { CHANNEL_NAMES, CHANNELS } from "../core/channels/table.ts";
import { type DialAddress, parseMultiaddr } from "../core/multiaddr.ts";
import { ephemeralKey } from "../service/key-file.ts";
import { startStreamNode } from "../service/streams.fixture.ts";
import { join } from "./join.ts";

/** Peers of one node in a process of their own: `herd.ts readers|liars <address> <count>`. It ends with its parent. */
const [kind, text = "", count = "0"] = process.argv.slice(2);
const parsed = parseMultiaddr(text);
if (parsed.tag !== "address") throw new Error(parsed.detail);
const { address } = parsed;
process.on("disconnect", () => process.exit());

const MESSAGES_AT_ONCE = 20;
const POLL_MS = 5;

/** Connects with a new key, sends garbage on every channel as fast as it goes until it is thrown out, and again. */
async function lie(to: DialAddress): Promise<never> {
  for (;;) {
    const node = await startStreamNode({ key: ephemeralKey(), dial: [to] });
    const live = () => node.state().peers.get(to.peerId)?.live ?? null;
    const untilMs = performance.now() + 10_000;
    while (live() === null && performance.now() < untilMs) await pause(POLL_MS);
    for (let said = live(); said !== null; said = live()) {
      process.send?.("connected");
      while (live() !== null) {
        for (let message = 0; message < MESSAGES_AT_ONCE; message++) {
          const channel = CHANNEL_NAMES[randomInt(CHANNEL_NAMES.length)] ?? "rpc";
          node.transport.send(said.attemptId, channel, randomBytes(randomInt(1, CHANNELS[channel].bytesMax)));
        }
        await turn();
      }
    }
    await node.close();
  }
}

// Readers are honest until their process is stopped: then they read nothing more.
const all = Array.from({ length: Number(count) }, () => (kind === "readers" ? join(address) : lie(address)));
await Promise.all(all);
process.send?.("ready");
