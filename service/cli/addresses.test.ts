import { expect, test } from "vitest";
import { parseMultiaddr } from "../../core/multiaddr.ts";
import { startWithApi, until } from "../api.fixture.ts";
import { addressesCommand } from "./addresses.ts";

const listener = await startWithApi({ listen: { host: "127.0.0.1", port: 0 } });
const dialer = await startWithApi();

/** What a command line prints. */
async function addresses(...args: readonly string[]): Promise<string> {
  let text = "";
  const command = addressesCommand((shown) => {
    text += shown;
  }).exitOverride();
  await command.parseAsync([...args, "--admin", dialer.api.url], { from: "user" });
  return text;
}

test("addresses: what the node knows of them, a line each", async () => {
  expect(await addresses()).toBe("no address is known\n");
  expect(await addresses("--json")).toBe("");
  const address = listener.node.address ?? "";
  const parsed = parseMultiaddr(address);
  if (parsed.tag === "malformed") throw new Error(parsed.detail);
  await dialer.node.command({ type: "command/dial", address: parsed.address });
  await until(() => dialer.node.state().book.addresses.entries.size > 0);
  const known = JSON.parse(await addresses("--json")) as { lastSuccess: string };
  const id = dialer.node.peerId;
  expect(known).toEqual({
    address,
    table: "tried",
    source: { id, address: "127.0.0.1" },
    lastSuccess: expect.any(String),
    failures: 0,
    nextDial: null,
    anchor: false,
  });
  expect(await addresses()).toBe(
    `${address}  tried  found ${known.lastSuccess}  0 failed  may be dialed  from ${id} at 127.0.0.1\n`,
  );
});
