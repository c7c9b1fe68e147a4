import { benchActions } from "./actions.ts";
import { benchCodec } from "./codec.ts";
import { benchConnection } from "./connection.ts";

benchActions();
benchCodec();
await benchConnection();
