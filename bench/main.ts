import { benchActions } from "./actions.ts";
import { benchCodec } from "./codec.ts";

benchActions();
benchCodec();
