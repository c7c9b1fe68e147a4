import { Command, InvalidArgumentError, Option } from "commander";
import { parseSubject } from "../../core/bans.ts";
import { BAN_MS } from "../../core/limits.ts";
import type { BanStatus } from "../admin-client.ts";
import { BAN_FOR_MS_MAX } from "../api/requests.ts";
import { DURATION_EXAMPLES, parseDurationMs } from "../duration.ts";
import { withAdmin } from "./with-admin.ts";
import { writeOut } from "./write-out.ts";

interface Flags {
  readonly admin: string;
  readonly json?: true;
}

const FOR_EVER = "ever";

/** @param print takes what is shown; standard output by default */
export function bansCommand(print: (text: string) => void = writeOut): Command {
  const bans = new Command("bans").description("show and change the bans of a node");
  const add = (name: string, description: string): Command =>
    bans
      .command(name)
      .description(description)
      .requiredOption("--admin <url>", "operator API of the node")
      .option("--json", "print JSON, one ban per line");

  add("list", "list all bans with subject, expiry and reason")
    .addHelpText("after", "\nExample:\n  $ pollen bans list --admin http://127.0.0.1:7380")
    .action(({ admin, json }: Flags) =>
      withAdmin(admin, async (client) => {
        const all = await client.bans();
        if (all.length === 0 && json === undefined) print("nobody is banned\n");
        for (const ban of all) print(shown(ban, json));
      }),
    );

  add("add", "ban a key or an address group, and disconnect its peers")
    .argument("<id>", "peer id (12D3KooW...) or address group (20.30.40.0/24)", parseId)
    .addOption(
      new Option("--for <duration>", `how long: ${DURATION_EXAMPLES}, or "${FOR_EVER}"`)
        .argParser(parseFor)
        .default(BAN_MS, "24h"),
    )
    .addHelpText("after", ADD_EXAMPLES)
    .action((id: string, { admin, json, for: forMs }: Flags & { readonly for: number | typeof FOR_EVER }) =>
      withAdmin(admin, async (client) =>
        print(shown(await client.ban(id, forMs === FOR_EVER ? null : forMs), json)),
      ),
    );

  add("remove", "lift a ban, whoever imposed it")
    .argument("<id>", "peer id or address group, as `bans list` shows it", parseId)
    .addHelpText("after", "\nExample:\n  $ pollen bans remove 20.30.40.0/24 --admin http://127.0.0.1:7380")
    .action((id: string, { admin, json }: Flags) =>
      withAdmin(admin, async (client) => {
        await client.unban(id);
        print(json ? `${JSON.stringify({ id })}\n` : `${id} is not banned any more\n`);
      }),
    );
  return bans;
}

const ADD_EXAMPLES = `
Examples:
  $ pollen bans add 12D3KooW... --admin http://127.0.0.1:7380
  $ pollen bans add 20.30.40.0/24 --for 90m --admin http://127.0.0.1:7380
  $ pollen bans add 2a00:1450:4001:800::/56 --for ever --admin http://127.0.0.1:7380

Address groups are IPv4 /24 and IPv6 /56. A ban of the same id is replaced.`;

function shown(ban: BanStatus, json: true | undefined): string {
  if (json) return `${JSON.stringify(ban)}\n`;
  const { id, kind, until, reason } = ban;
  return `${id}  ${kind}  ${until === null ? "for ever" : `until ${until}`}  ${reason}\n`;
}

function parseId(text: string): string {
  const subject = parseSubject(text);
  if (subject.tag === "malformed") throw new InvalidArgumentError(`${subject.detail}.`);
  return text;
}

/** Not null for what does not end: that is what commander takes for an option without its argument. */
function parseFor(text: string): number | typeof FOR_EVER {
  if (text === FOR_EVER) return text;
  const ms = parseDurationMs(text);
  if (ms !== undefined && Math.ceil(ms) <= BAN_FOR_MS_MAX) return Math.ceil(ms);
  throw new InvalidArgumentError(`expected ${DURATION_EXAMPLES}, or ${FOR_EVER}.`);
}
