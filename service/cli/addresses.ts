import { Command } from "commander";
import type { AddressStatus } from "../admin-client.ts";
import { withAdmin } from "./with-admin.ts";
import { writeOut } from "./write-out.ts";

interface Flags {
  readonly admin: string;
  readonly json?: true;
}

/** @param print takes what is shown; standard output by default */
export const addressesCommand = (print: (text: string) => void = writeOut): Command =>
  new Command("addresses")
    .description(
      "show the address book of a node: the source of each address, and when its peer was last found there",
    )
    .requiredOption("--admin <url>", "operator API of the node")
    .option("--json", "print JSON, one address per line")
    .addHelpText("after", "\nExample:\n  $ pollen addresses --admin http://127.0.0.1:7380")
    .action(({ admin, json }: Flags) =>
      withAdmin(admin, async (client) => {
        const all = await client.addresses();
        if (all.length === 0 && json === undefined) print("no address is known\n");
        for (const each of all) print(json ? `${JSON.stringify(each)}\n` : shown(each));
      }),
    );

function shown({ address, table, source, lastSuccess, failures, nextDial, anchor }: AddressStatus): string {
  const columns = [
    address,
    table,
    lastSuccess === null ? "never found" : `found ${lastSuccess}`,
    `${failures} failed`,
    nextDial === null ? "may be dialed" : `not before ${nextDial}`,
    `from ${source.id} at ${source.address}`,
    ...(anchor ? ["anchor"] : []),
  ];
  return `${columns.join("  ")}\n`;
}
