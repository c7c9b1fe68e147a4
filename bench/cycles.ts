import { setTimeout as pause } from "node:timers/promises";
import { startListener } from "./connection.ts";
import { join } from "./join.ts";
import type { ListenerUsage } from "./listener.ts";
import { print, rounded } from "./measure.ts";

/** P32: nodes that connect with a process and leave it again, until it would show what each leaves behind. */

const CYCLES = 1_000;
const WARM_UP = 100;
const AT_ONCE = 4;
/** Until the last connection is closed on both sides. */
const SETTLE_MS = 5_000;

export async function benchCycles(): Promise<void> {
  const { process: listener, address, ask } = await startListener();
  const settled = async (): Promise<ListenerUsage> => {
    await pause(SETTLE_MS);
    return ask();
  };
  const cycle = async (): Promise<void> => {
    const node = await join(address);
    await node.stop();
  };
  const cycles = (count: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let done = 0; done < count / AT_ONCE; done++) await cycle();
      }),
    );
  await cycles(WARM_UP);
  const before = await settled();
  await cycles(CYCLES);
  const after = await settled();
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
