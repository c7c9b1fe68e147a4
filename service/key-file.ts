import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { codeOf } from "./error-code.ts";

export const KEY_FILE_NAME = "key.pem";

/** What is wrong with a key file, and what to do about it; written for the operator, without any of its content. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
}

/**
 * The node's ed25519 key from `key.pem` in its data directory; both are created if they are missing. If two
 * processes start at once, both get the key of the one that was first.
 * @throws KeyFileError
 */
export function loadOrCreateKey(dataDir: string): KeyObject {
  const path = join(dataDir, KEY_FILE_NAME);
  if (existsSync(path)) return readKeyFile(path);
  try {
    return createKeyFile(path);
  } catch (error) {
    if (existsSync(path)) return readKeyFile(path);
    throw error;
  }
}

/**
 * Writes a new key as PKCS#8 PEM with mode 0600. The file appears under its name only when it is complete and on
 * disk, and never replaces another one: an identity that was overwritten is lost for good.
 * @throws KeyFileError if the file exists or cannot be written
 */
export function createKeyFile(path: string): KeyObject {
  const key = ephemeralKey();
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeOnce(path, key.export({ format: "pem", type: "pkcs8" }));
  } catch (error) {
    throw new KeyFileError(explainWrite(path, error));
  }
  syncDirectory(dirname(path));
  return key;
}

/** @throws KeyFileError unless the file is a private ed25519 key that nobody but its owner can read */
export function readKeyFile(path: string): KeyObject {
  const pem = readPrivately(path);
  const key = parsePem(path, pem);
  if (key.asymmetricKeyType !== "ed25519") {
    throw new KeyFileError(
      `${path} holds a key of type ${key.asymmetricKeyType}; a node needs an ed25519 key: ${CREATE_ANOTHER}`,
    );
  }
  return key;
}

/** A key that ends with the process. */
export const ephemeralKey = (): KeyObject => generateKeyPairSync("ed25519").privateKey;

const CREATE_ANOTHER = "move the file away and create a key with `pollen key new`";
/** A PEM file with an ed25519 key has 119 bytes; what is far longer is another file. */
const KEY_FILE_BYTES_MAX = 16_384;
const BEYOND_0600 = 0o177;

function readPrivately(path: string): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw new KeyFileError(explainRead(path, error));
  }
  try {
    // The open file is asked, not the name: the name may mean another file a moment later.
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > KEY_FILE_BYTES_MAX) throw new KeyFileError(notAKey(path));
    // Windows has no such permissions and reports made-up ones.
    if (process.platform !== "win32" && (stat.mode & BEYOND_0600) !== 0) {
      const octal = (stat.mode & 0o777).toString(8).padStart(4, "0");
      throw new KeyFileError(
        `${path} has permissions ${octal}, so others may have the secret key; run \`chmod 600 ${path}\``,
      );
    }
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

function parsePem(path: string, pem: string): KeyObject {
  if (pem.includes("ENCRYPTED")) {
    throw new KeyFileError(
      `${path} is encrypted with a passphrase, which a node cannot ask for; store the key without one`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch {
    // The library's own message could quote the file.
    throw new KeyFileError(notAKey(path));
  }
}

const notAKey = (path: string): string => `${path} is not a private key in PEM format: ${CREATE_ANOTHER}`;

function writeOnce(path: string, text: string | Buffer): void {
  const temporary = join(dirname(path), `.${KEY_FILE_NAME}.${randomBytes(8).toString("hex")}`);
  const file = openSync(temporary, "wx", 0o600);
  try {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // Unlike rename, link fails if the name is taken.
    linkSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Makes the new name durable too. Some platforms cannot open a directory; there the file system has to do. */
function syncDirectory(directory: string): void {
  let file: number;
  try {
    file = openSync(directory, "r");
  } catch {
    return;
  }
  try {
    fsyncSync(file);
  } catch {
    // The key itself is written; only a power cut within seconds could still undo its name.
  } finally {
    closeSync(file);
  }
}

function explainRead(path: string, error: unknown): string {
  const code = codeOf(error);
  const denied = `${path} may not be read by this user; change its owner or start the node as its owner`;
  const explanations: Readonly<Record<string, string>> = {
    ENOENT: `${path} does not exist; create it with \`pollen key new\``,
    EACCES: denied,
    EPERM: denied,
  };
  return explanations[code] ?? `${path} cannot be read (${code})`;
}

function explainWrite(path: string, error: unknown): string {
  const code = codeOf(error);
  const directory = dirname(path);
  const notADirectory = `${directory} is not a directory; choose another path`;
  const denied = `${directory} may not be written to by this user; change its permissions or choose another directory`;
  const full = `no space is left for ${path}; free some or choose another directory`;
  const noLinks = `the file system of ${directory} has no hard links; choose a directory on another one`;
  const isOfLink = error instanceof Error && "syscall" in error && error.syscall === "link";
  const explanations: Readonly<Record<string, string>> = {
    EEXIST: isOfLink
      ? `${path} exists already; a key is never overwritten: move the file away or choose another path`
      : notADirectory,
    ENOTDIR: notADirectory,
    EACCES: denied,
    EPERM: isOfLink ? noLinks : denied,
    EROFS: denied,
    ENOSPC: full,
    EDQUOT: full,
    ENOTSUP: noLinks,
    EOPNOTSUPP: noLinks,
  };
  return explanations[code] ?? `${path} cannot be written (${code})`;
}
