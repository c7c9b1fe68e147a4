import { generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { rawPublicKey } from "./ed25519.ts";
import { createKeyFile, ephemeralKey, KeyFileError, loadOrCreateKey, readKeyFile } from "./key-file.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "pollen-key-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const modeOf = (path: string): number => statSync(path).mode & 0o777;
const publicHex = (key: Parameters<typeof rawPublicKey>[0]): string => toHex(rawPublicKey(key));

/** The message of the KeyFileError that the call ends with. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof KeyFileError) return error.message;
    throw error;
  }
  throw new Error("was not refused");
}

function keyFile(content: string, mode = 0o600): string {
  const path = join(dir, "key.pem");
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

test("key file: the first start creates it, privately, and later starts find the same key", () => {
  const dataDir = join(dir, "deep", "data");
  const created = loadOrCreateKey(dataDir);
  const path = join(dataDir, "key.pem");
  expect(modeOf(dataDir)).toBe(0o700);
  expect(modeOf(path)).toBe(0o600);
  expect(readFileSync(path, "utf8")).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  expect(readdirSync(dataDir)).toEqual(["key.pem"]);
  expect(publicHex(loadOrCreateKey(dataDir))).toBe(publicHex(created));
  expect(publicHex(readKeyFile(path))).toBe(publicHex(created));
});

test("key file: a permissive umask does not widen the permissions", () => {
  const umask = process.umask(0);
  try {
    loadOrCreateKey(join(dir, "data"));
  } finally {
    process.umask(umask);
  }
  expect(modeOf(join(dir, "data"))).toBe(0o700);
  expect(modeOf(join(dir, "data", "key.pem"))).toBe(0o600);
});

test("key file: an existing file is never overwritten", () => {
  const path = keyFile("something else");
  expect(refusal(() => createKeyFile(path))).toBe(
    `${path} exists already; a key is never overwritten: move the file away or choose another path`,
  );
  expect(readFileSync(path, "utf8")).toBe("something else");
  expect(readdirSync(dir)).toEqual(["key.pem"]);
});

test("key file: a dangling link is not written through", () => {
  const path = join(dir, "key.pem");
  symlinkSync(join(dir, "elsewhere"), path);
  expect(refusal(() => createKeyFile(path))).toContain("exists already");
  expect(existsSync(join(dir, "elsewhere"))).toBe(false);
});

test.each([0o640, 0o604, 0o644, 0o660, 0o666, 0o700, 0o777])(
  "key file: permissions %o are refused",
  (mode) => {
    const path = join(dir, "key.pem");
    createKeyFile(path);
    chmodSync(path, mode);
    const message = refusal(() => readKeyFile(path));
    expect(message).toContain(`permissions 0${mode.toString(8)}`);
    expect(message).toContain(`chmod 600 ${path}`);
    expect(refusal(() => loadOrCreateKey(dir))).toBe(message);
  },
);

test("key file: one that its owner may only read is accepted", () => {
  const path = join(dir, "key.pem");
  const key = createKeyFile(path);
  chmodSync(path, 0o400);
  expect(publicHex(readKeyFile(path))).toBe(publicHex(key));
});

test("key file: another type of key is refused by its name", () => {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const x25519 = generateKeyPairSync("x25519").privateKey;
  for (const [type, key] of [["ec", ec] as const, ["x25519", x25519] as const]) {
    const path = keyFile(String(key.export({ format: "pem", type: "pkcs8" })));
    expect(refusal(() => readKeyFile(path))).toContain(
      `holds a key of type ${type}; a node needs an ed25519`,
    );
  }
});

test("key file: what is no private key is refused without quoting it", () => {
  const { publicKey } = generateKeyPairSync("ed25519");
  const pem = String(ephemeralKey().export({ format: "pem", type: "pkcs8" }));
  const contents = [
    "",
    "hunter2",
    pem.slice(0, 80),
    String(publicKey.export({ format: "pem", type: "spki" })),
  ];
  for (const content of [...contents, "x".repeat(20_000)]) {
    const path = keyFile(content);
    expect(refusal(() => readKeyFile(path))).toBe(
      `${path} is not a private key in PEM format: move the file away and create a key with \`pollen key new\``,
    );
    expect(refusal(() => loadOrCreateKey(dir))).toContain("is not a private key");
    expect(readFileSync(path, "utf8")).toBe(content);
  }
});

test("key file: an encrypted key says that it is encrypted", () => {
  const encrypted = ephemeralKey().export({
    format: "pem",
    type: "pkcs8",
    cipher: "aes-256-cbc",
    passphrase: "secret",
  });
  expect(refusal(() => readKeyFile(keyFile(String(encrypted))))).toContain("encrypted with a passphrase");
});

test("key file: a directory in its place is refused", () => {
  mkdirSync(join(dir, "key.pem"));
  expect(refusal(() => loadOrCreateKey(dir))).toContain("is not a private key");
});

test("key file: a missing one names the command that creates it", () => {
  expect(refusal(() => readKeyFile(join(dir, "key.pem")))).toContain("create it with `pollen key new`");
});

test("key file: a data directory that is a file is named", () => {
  const file = keyFile("a file");
  expect(refusal(() => loadOrCreateKey(file))).toBe(`${file} is not a directory; choose another path`);
  expect(refusal(() => loadOrCreateKey(join(file, "deeper")))).toContain("is not a directory");
});

/** Calls as a user who does not own the directory: nothing is forbidden to the superuser. */
function asStranger<T>(call: () => T): T {
  if (process.getuid?.() !== 0) return call();
  const NOBODY = 65_534;
  process.seteuid?.(NOBODY);
  try {
    return call();
  } finally {
    process.seteuid?.(0);
  }
}

test("key file: a directory that may not be written to is named", () => {
  chmodSync(dir, 0o555);
  const message = asStranger(() => refusal(() => loadOrCreateKey(dir)));
  expect(message).toContain(`${dir} may not be written to by this user`);
  chmodSync(dir, 0o700);
});

test("key file: one that may not be read is named", () => {
  const path = keyFile("secret", 0);
  chmodSync(dir, 0o755);
  expect(asStranger(() => refusal(() => readKeyFile(path)))).toContain(
    `${path} may not be read by this user`,
  );
});

test("key file: ephemeral keys are unlike", () => {
  expect(publicHex(ephemeralKey())).not.toBe(publicHex(ephemeralKey()));
});
