import { type Command, Option } from "commander";
import { TEST_ACCOUNTS } from "../chain/genesis.ts";
import { DEFAULT_CONFIG, settingSchemas } from "../config.ts";
import { RATE_EXAMPLES } from "../data-rate.ts";
import { LOG_LEVELS } from "../log.ts";
import { formatListen } from "./errors.ts";
import { listParserOf, numberParserOf, parserOf } from "./options.ts";

/** The options of `pollen node`: each is a setting of config.ts. */
export function addNodeOptions(command: Command): Command {
  addNetworkOptions(command);
  addChainOptions(command);
  return addLogOptions(command);
}

function addNetworkOptions(command: Command): void {
  const {
    listen,
    admin,
    peer,
    maxPeers,
    minPeers,
    maxUpload,
    admissionPerIp: perIp,
    trustedProxy,
  } = settingSchemas;
  command
    .option(
      "--listen <host:port>",
      `where others dial this node, or none (default: ${shown("listen")})`,
      parserOf(listen),
    )
    .option("--admin <host:port>", `the operator API, or none (default: ${shown("admin")})`, parserOf(admin))
    .option("--peer <multiaddr>", "keep connected to this node; repeatable", listParserOf(peer))
    .option("--data <dir>", "keep the identity here (default: a new one at each start)")
    .option("--record <dir>", "record all inputs of this run in a new directory, for `pollen replay`")
    .option("--config <file>", "JSON with these options in camelCase; the command line wins")
    .option(
      "--max-peers <n>",
      `connections, half-open ones included (default: ${DEFAULT_CONFIG.maxPeers})`,
      numberParserOf(maxPeers),
    )
    .option(
      "--min-peers <n>",
      "ask peers for others while there are fewer (default: half of --max-peers)",
      numberParserOf(minPeers),
    )
    .option(
      "--max-upload <rate>",
      `what all connections may send together, such as ${RATE_EXAMPLES} (default: no limit)`,
      parserOf(maxUpload),
    )
    .option("--admission-per-ip <n>", "offers one address may make at once", numberParserOf(perIp))
    .option(
      "--trusted-proxy <cidr>",
      "believe X-Forwarded-For of it; repeatable",
      listParserOf(trustedProxy),
    );
}

/** Nodes of different slots or genesis times are on different chains, and refuse each other. */
function addChainOptions(command: Command): void {
  const { slot, genesisTime, produce, fee, poolSize } = settingSchemas;
  const account = `test account, 0 to ${TEST_ACCOUNTS - 1}; without a number the peer id chooses it`;
  command
    .option(
      "--slot <time>",
      `duration of a slot: nodes that differ are on different chains (default: ${SLOT_DEFAULT})`,
      parserOf(slot),
    )
    .option(
      "--genesis-time <time>",
      `start of slot 0, ISO or ms: the same holds (default: ${GENESIS_TIME_DEFAULT})`,
      parserOf(genesisTime),
    )
    .addOption(
      new Option("--produce [account]", `make blocks with this ${account}`).argParser(
        numberParserOf(produce),
      ),
    )
    .option("--snark-worker", "make SNARK work; the account of --produce is paid, or one the peer id chooses")
    .option(
      "--fee <n>",
      `what a --snark-worker asks for each proof (default: ${DEFAULT_CONFIG.fee})`,
      numberParserOf(fee),
    )
    .option(
      "--pool-size <n>",
      `transactions the pool holds (default: ${DEFAULT_CONFIG.poolSize})`,
      numberParserOf(poolSize),
    );
}

function addLogOptions(command: Command): Command {
  const { logLevel } = settingSchemas;
  return command
    .option(
      "--log-level <level>",
      `${LOG_LEVELS.join(", ")} (default: ${DEFAULT_CONFIG.logLevel})`,
      parserOf(logLevel),
    )
    .option("--json-logs", "the log, and what is printed at the start, as lines of JSON");
}

const SLOT_DEFAULT = `${DEFAULT_CONFIG.slot / 1_000}s`;
const GENESIS_TIME_DEFAULT = new Date(DEFAULT_CONFIG.genesisTime).toISOString().replace(".000Z", "Z");

const shown = (setting: "listen" | "admin"): string => {
  const address = DEFAULT_CONFIG[setting];
  return address === null ? "none" : formatListen(address);
};
