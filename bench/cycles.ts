import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { ephemeralKey } from "../service/key-file.ts";
import { startNode } from "../service/node.ts";
import { DEFAULT_SETTINGS } from "../service/node-settings.ts";
import { startListener } from "./connection.ts";
import { print, rounded } from "./measure.ts";
import type { Usage } from "./usage.ts";

/** P32: nodes that connect with a process and leave it again, until it would show what each leaves behind. */

const CYCLES = 1_000;
const WARM_UP = 100;
const AT_ONCE = 4;
/** Until the last connection is closed on both sides. */
const SETTLE_MS = 5_000;

export async function benchCycles(): Promise<void> {
  const { process: listener, address } = await startListener();
  const ask = async (): Promise<Usage> => {
    await pause(SETTLE_MS);
    listener.send("usage");
    const [answer]: unknown[] = await once(listener, "message");
    return answer as Usage;
  };
  const cycle = async (): Promise<void> => {
    const settings = { ...DEFAULT_SETTINGS, peers: [address], peersMin: 0, log: pino({ level: "silent" }) };
    const node = await startNode({ ...settings, key: ephemeralKey() });
    while (!node.state().peers.get(address.peerId)?.live) await pause(2);
    await node.stop();
  };
  const cycles = (count: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let done = 0; done < count / AT_ONCE; done++) await cycle();
      }),
    );
  await cycles(WARM_UP);
  const before = await ask();
  await cycles(CYCLES);
  const after = await ask();
  print({
    bench: "connect and close",
    cycles: CYCLES,
    kilobytesPerCycle: rounded((after.rssBytes - before.rssBytes) / CYCLES / 1_000),
    megabytesBefore: rounded(before.rssBytes / 1e6),
    megabytesAfter: rounded(after.rssBytes / 1e6),
    threads: [before.threads, after.threads],
    descriptors: [before.descriptors, after.descriptors],
    handles: [before.handles, after.handles],
  });
  listener.disconnect();
}
