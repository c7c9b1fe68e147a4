import { pino } from "pino";
import { ephemeralKey } from "../service/key-file.ts";
import { admissionPerIp, startNode } from "../service/node.ts";

/** A node in a process of its own, for the others to dial; ends with its parent. */
const node = await startNode({
  key: ephemeralKey(),
  listen: { host: "127.0.0.1", port: 0 },
  peers: [],
  peersMax: 100,
  admission: admissionPerIp(1_000),
  trustedProxies: [],
  record: null,
  log: pino({ level: "silent" }),
});
process.on("disconnect", () => process.exit());
process.send?.(node.address);
