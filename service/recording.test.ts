import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { base64 } from "@scure/base";
import { expect, test } from "vitest";
import { concatBytes, toHex } from "../core/bytes.ts";
import { type AdminClient, createAdminClient } from "./admin-client.ts";
import { replayAll } from "./cli/replay.ts";
import { sendPayments } from "./cli/tx.ts";
import { startNodeProcess } from "./devnet/child.ts";
import { rawPublicKey, toX25519Secret } from "./ed25519.ts";
import { loadOrCreateKey } from "./key-file.ts";
import { scratch } from "./recording.fixture.ts";

/** Recordings of real nodes: what is in them, and what is left of one that was killed. */

const TO = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

test("P29: recordings of real nodes hold no secret, and one that was killed replays up to its end", async () => {
  const directory = scratch();
  const keys = ["a", "b"].map((name) => loadOrCreateKey(join(directory, name)));
  const [a, b] = ["a", "b"].map((name) =>
    startNodeProcess(name, [
      ...["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", join(directory, name)],
      ...["--record", join(directory, "recordings", name)],
    ]),
  );
  if (a === undefined || b === undefined) throw new Error("two nodes were started");
  const [readyA, readyB] = await Promise.all([a.ready, b.ready]);
  const [adminA, adminB] = [readyA, readyB].map(({ admin }) => createAdminClient(admin)) as [
    AdminClient,
    AdminClient,
  ];
  await adminA.dial(readyB.address ?? "");
  const payments = { fee: 1n, amount: 1n, to: TO, count: 60, from: 0 };
  await sendPayments(adminA, payments, () => undefined);
  while ((await adminB.status()).pools.transactions.size < payments.count) await later();

  // More is on its way when one of them is killed.
  const rest = sendPayments(adminB, { ...payments, from: 1 }, () => undefined).catch(() => undefined);
  while ((await adminB.status()).pools.transactions.size < payments.count + 20) await later();
  b.kill();
  await Promise.all([b.exited, rest]);
  expect(await a.stop()).toEqual({ code: 0, signal: null });

  const printed: string[] = [];
  const print = async (line: string): Promise<void> => {
    printed.push(line);
  };
  await replayAll(join(directory, "recordings"), {}, { print, note: (line) => printed.push(line) });
  expect(
    printed.filter((line) => /\/(a|b): replayed \d+ inputs, [1-9]\d* hash(es)? equal/.test(line)),
  ).toHaveLength(2);

  const recorded = ["a", "b"].map((name) => textOf(join(directory, "recordings", name)));
  for (const key of keys) {
    const seed = Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url");
    const opening = Buffer.from(toX25519Secret(key).export({ format: "jwk" }).d ?? "", "base64url");
    const expanded = createHash("sha512").update(seed).digest();
    for (const secret of [seed, opening, expanded.subarray(0, 32), expanded.subarray(32)]) {
      for (const text of recorded) expect(findBytes(text, secret)).toEqual([]);
    }
  }
  // The search finds what is there: of each node, its public key in hexadecimal and, in signals, in base64.
  for (const [index, key] of keys.entries()) {
    const found = findBytes(recorded[index] ?? "", rawPublicKey(key));
    expect(found).toContain("hexadecimal");
    expect(found.some((form) => form.startsWith("base64"))).toBe(true);
  }
});

const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

const textOf = (directory: string): string =>
  readdirSync(directory)
    .map((name) => readFileSync(join(directory, name), "latin1"))
    .join("");

/** In which forms the 32 bytes occur: base64 also within longer bytes, at each of its three alignments. */
function findBytes(text: string, bytes: Uint8Array): string[] {
  const forms: Record<string, string> = {
    raw: Buffer.from(bytes).toString("latin1"),
    hexadecimal: toHex(bytes),
    "upper case": toHex(bytes).toUpperCase(),
  };
  for (const before of [0, 1, 2]) {
    const inner = base64
      .encode(concatBytes(new Uint8Array(before), bytes))
      .slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    forms[`base64 at ${before}`] = inner;
    forms[`base64url at ${before}`] = inner.replaceAll("+", "-").replaceAll("/", "_");
  }
  return Object.entries(forms).flatMap(([form, pattern]) => (text.includes(pattern) ? [form] : []));
}
