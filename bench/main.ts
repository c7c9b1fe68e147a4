import { benchActions } from "./actions.ts";
import { benchCluster } from "./cluster.ts";
import { benchCodec } from "./codec.ts";
import { benchConnection } from "./connection.ts";
import { benchFlood } from "./flood.ts";
import { benchMemory } from "./memory.ts";
import { benchRelay } from "./relay.ts";
import { benchStream } from "./stream.ts";

benchActions();
benchCodec();
benchCluster();
await benchConnection();
await benchMemory();
await benchFlood();
await benchStream();
await benchRelay();
