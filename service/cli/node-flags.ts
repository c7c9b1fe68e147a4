import { type Command, Option } from "commander";
import { DEFAULT_ADMISSION } from "../../core/state.ts";
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
      `address at which others dial this node, or none (default: ${shown("listen")})`,
      parserOf(listen),
    )
    .option("--admin <host:port>", `the operator API, or none (default: ${shown("admin")})`, parserOf(admin))
    .option("--peer <multiaddr>", "keep connected to this node; repeatable", listParserOf(peer))
    .option(
      "--data <dir>",
      "keep identity, bans, addresses and partial streams here (default: nothing is kept)",
    )
    .option("--record <dir>", "record all inputs of this run in a new directory, for `pollen replay`")
    .option("--config <file>", "JSON with these options in camelCase; the command line wins")
    .option(
      "--max-peers <n>",
      `limit on connections, half-open ones included (default: ${DEFAULT_CONFIG.maxPeers})`,
      numberParserOf(maxPeers),
    )
    .option(
      "--min-peers <n>",
      "ask peers for others while there are fewer (default: half of --max-peers)",
      numberParserOf(minPeers),
    )
    .option(
      "--max-upload <rate>",
      `upload limit of all connections together, such as ${RATE_EXAMPLES} (default: no limit)`,
      parserOf(maxUpload),
    )
    .option(
      "--admission-per-ip <n>",
      `offers one address, or its whole /24 or /56, may make in a burst; N/16 per second after that (default: ${DEFAULT_ADMISSION.ip.burst} per address, ${DEFAULT_ADMISSION.group.burst} per group)`,
      numberParserOf(perIp),
    )
    .option(
      "--trusted-proxy <cidr>",
      "trust X-Forwarded-For from this address or range; repeatable",
      listParserOf(trustedProxy),
    );
}

/** Nodes of different slots or genesis times are on different chains, and refuse each other. */
function addChainOptions(command: Command): void {
  const { slot, genesisTime, produce, fee, poolSize } = settingSchemas;
  const account = `test account, 0 to ${TEST_ACCOUNTS - 1}; without a number it is derived from the peer id`;
  command
    .option(
      "--slot <time>",
      `duration of a slot; all nodes of a network need the same (default: ${SLOT_DEFAULT})`,
      parserOf(slot),
    )
    .option(
      "--genesis-time <time>",
      `start of slot 0, ISO time or ms since 1970; all nodes of a network need the same (default: ${GENESIS_TIME_DEFAULT})`,
      parserOf(genesisTime),
    )
    .addOption(
      new Option("--produce [account]", `make blocks with this ${account}`).argParser(
        numberParserOf(produce),
      ),
    )
    .option(
      "--snark-worker",
      "make SNARK work, paid to the account of --produce, else to one derived from the peer id",
    )
    .option(
      "--fee <n>",
      `fee that a --snark-worker asks for each proof (default: ${DEFAULT_CONFIG.fee})`,
      numberParserOf(fee),
    )
    .option(
      "--pool-size <n>",
      `limit on transactions in the pool (default: ${DEFAULT_CONFIG.poolSize})`,
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
    .option("--json-logs", "write the log, and what is printed at the start, as lines of JSON");
}

const SLOT_DEFAULT = `${DEFAULT_CONFIG.slot / 1_000}s`;
const GENESIS_TIME_DEFAULT = new Date(DEFAULT_CONFIG.genesisTime).toISOString().replace(".000Z", "Z");

const shown = (setting: "listen" | "admin"): string => {
  const address = DEFAULT_CONFIG[setting];
  return address === null ? "none" : formatListen(address);
};
