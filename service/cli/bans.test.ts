import type { Command } from "commander";
import { expect, test } from "vitest";
import { startWithApi } from "../api.fixture.ts";
import { bansCommand } from "./bans.ts";
import { UserError } from "./errors.ts";

const { api, node } = await startWithApi();
const other = await startWithApi();
const ID = other.node.peerId;

/** What a command line prints. */
async function bans(...args: readonly string[]): Promise<string> {
  let text = "";
  const command = bansCommand((shown) => {
    text += shown;
  });
  const quiet = (each: Command): Command =>
    each.exitOverride().configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  for (const each of [command, ...command.commands]) quiet(each);
  await command.parseAsync([...args, "--admin", api.url], { from: "user" });
  return text;
}

test("bans: added, listed, removed", async () => {
  expect(await bans("list")).toBe("nobody is banned\n");
  expect(await bans("list", "--json")).toBe("");
  expect(await bans("add", "20.30.40.0/24", "--for", "ever")).toBe(
    "20.30.40.0/24  group  for ever  operator\n",
  );
  const added = JSON.parse(await bans("add", ID, "--json")) as { until: string };
  expect(added).toEqual({ id: ID, kind: "key", until: expect.any(String), reason: "operator" });
  expect(Math.abs(Date.parse(added.until) - Date.now() - 86_400_000)).toBeLessThan(60_000);
  expect((await bans("list")).split("\n")).toHaveLength(3);
  expect(await bans("remove", "20.30.40.0/24")).toBe("20.30.40.0/24 is not banned any more\n");
  expect(await bans("remove", ID, "--json")).toBe(`{"id":"${ID}"}\n`);
  expect(await bans("list")).toBe("nobody is banned\n");
});

test("bans: --for says how long", async () => {
  const { until } = JSON.parse(await bans("add", ID, "--for", "90m", "--json")) as { until: string };
  expect(Math.abs(Date.parse(until) - Date.now() - 5_400_000)).toBeLessThan(60_000);
  await bans("remove", ID);
});

test("bans: what cannot be done is said in one line", async () => {
  await expect(bans("remove", ID)).rejects.toThrow(new UserError(`${ID} is not banned`));
  await expect(bans("add", node.peerId)).rejects.toThrow(
    new UserError("that is the key of this node itself"),
  );
  for (const args of [["bob"], ["20.30.40.50"], [ID, "--for", "0s"], [ID, "--for", "soon"]]) {
    await expect(bans("add", ...args)).rejects.toMatchObject({ code: "commander.invalidArgument" });
  }
});

test("bans: more than one page is listed whole", async () => {
  for (let low = 0; low < 5; low++) {
    for (let high = 0; high < 201; high++) {
      const subject = { tag: "group", group: `20.${low}.${high}.0/24` } as const;
      await node.command({ type: "command/ban", subject, forMs: null });
    }
  }
  expect((await bans("list")).trimEnd().split("\n")).toHaveLength(1_005);
});
