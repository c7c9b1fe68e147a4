import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { Command, Option } from "commander";
import { toHex } from "../../core/bytes.ts";
import { toPeerId } from "../../core/identity.ts";
import { rawPublicKey } from "../ed25519.ts";
import { createKeyFile, KEY_FILE_NAME, KeyFileError, readKeyFile } from "../key-file.ts";
import { userErrorOf } from "./errors.ts";
import { writeOut } from "./write-out.ts";

/** @param print takes what is shown; standard output by default */
export function keyCommand(print: (text: string) => void = writeOut): Command {
  const key = new Command("key").description("create and show the identity of a node");
  key
    .command("new")
    .description("create a key; one that exists is never overwritten")
    .addOption(new Option("--data <dir>", "the data directory of a node").conflicts("out"))
    .option("--out <file>", `the file of the key (default: ${KEY_FILE_NAME})`)
    .addHelpText("after", "\nExample:\n  $ pollen key new --data alice")
    .action(({ data, out }: { readonly data?: string; readonly out?: string }) => {
      const path = data === undefined ? (out ?? KEY_FILE_NAME) : join(data, KEY_FILE_NAME);
      print(shown(path, createKeyFile));
    });
  key
    .command("show")
    .description("show the peer id and the public key; never the secret one")
    .requiredOption("--data <dir>", "the data directory of a node")
    .addHelpText("after", "\nExample:\n  $ pollen key show --data alice")
    .action(({ data }: { readonly data: string }) => print(shown(join(data, KEY_FILE_NAME), readKeyFile)));
  return key;
}

function shown(path: string, open: (path: string) => KeyObject): string {
  const publicKey = rawPublicKey(keyFrom(path, open));
  return `peer id     ${toPeerId(publicKey)}\npublic key  ${toHex(publicKey)}\nfile        ${path}\n`;
}

/** @throws UserError for what is wrong with a file */
export function keyFrom(path: string, open: (path: string) => KeyObject): KeyObject {
  try {
    return open(path);
  } catch (error) {
    throw error instanceof KeyFileError ? userErrorOf(error) : error;
  }
}
