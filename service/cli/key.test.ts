import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { UserError } from "./errors.ts";
import { keyCommand } from "./key.ts";

const directory = mkdtempSync(join(tmpdir(), "pollen-"));
afterAll(() => rmSync(directory, { recursive: true }));

async function key(...args: readonly string[]): Promise<string> {
  let printed = "";
  await keyCommand((text) => {
    printed += text;
  }).parseAsync(args, { from: "user" });
  return printed;
}

test("key: a new one is private and shown again alike, never with its secret", async () => {
  const data = join(directory, "alice");
  const path = join(data, "key.pem");
  const made = await key("new", "--data", data);
  expect(made).toMatch(/^peer id {5}12D3KooW\w{44}\npublic key {2}[0-9a-f]{64}\nfile {8}.*key\.pem\n$/);
  expect(made).toContain(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await key("show", "--data", data)).toBe(made);
  const pem = readFileSync(path, "utf8").split("\n")[1] ?? "";
  const seed = Buffer.from(pem, "base64").subarray(-32);
  for (const secret of [pem, seed.toString("hex"), seed.toString("base64")])
    expect(made).not.toContain(secret);
});

test("key: one that exists is never overwritten, one that is missing is said to be", async () => {
  const out = join(directory, "bob.pem");
  await key("new", "--out", out);
  const before = readFileSync(out);
  await expect(key("new", "--out", out)).rejects.toThrow(UserError);
  await expect(key("new", "--out", out)).rejects.toThrow(/exists already: a key is never overwritten/);
  expect(readFileSync(out)).toEqual(before);
  await expect(key("show", "--data", join(directory, "none"))).rejects.toThrow(
    /does not exist: create it with/,
  );
});
