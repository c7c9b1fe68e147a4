import { pino } from "pino";
import { ephemeralKey } from "../service/key-file.ts";
import { startNode } from "../service/node.ts";
import { admissionPerIp, DEFAULT_SETTINGS } from "../service/node-settings.ts";

/** A node in a process of its own, for the others to dial; ends with its parent. */
const node = await startNode({
  ...DEFAULT_SETTINGS,
  key: ephemeralKey(),
  listen: { host: "127.0.0.1", port: 0 },
  peersMax: 500,
  admission: admissionPerIp(10_000),
  log: pino({ level: "silent" }),
});
process.on("disconnect", () => process.exit());
// Whatever the parent says, it is answered with the memory that is in use.
process.on("message", () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage().rss);
});
process.send?.(node.address);
