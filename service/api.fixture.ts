import { request } from "node:http";
import { connect } from "node:net";
import { pino } from "pino";
import { afterAll } from "vitest";
import { toHex } from "../core/bytes.ts";
import { type Api, startApi } from "./api.ts";
import { testAccountKey, testGenesis } from "./chain/genesis.ts";
import { signTransfer } from "./chain/transfer.ts";
import { rawPublicKey } from "./ed25519.ts";
import { ephemeralKey } from "./key-file.ts";
import { type NodeOptions, type RunningNode, startNode } from "./node.ts";
import { DEFAULT_SETTINGS } from "./node-settings.ts";
import type { ServerLimits } from "./signaling-sockets.ts";

/** What the tests of a file leave to be closed, last first. */
export const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export interface NodeWithApi {
  readonly node: RunningNode;
  readonly api: Api;
}

/** A real node with its API on a free port of the loopback interface. */
export async function startWithApi(
  options: Partial<NodeOptions> = {},
  limits: Partial<ServerLimits> = {},
): Promise<NodeWithApi> {
  const log = pino({ level: "silent" });
  const node = await startNode({
    ...DEFAULT_SETTINGS,
    key: ephemeralKey(),
    peersMax: 10,
    log,
    ...options,
  });
  cleanups.push(() => node.stop());
  const api = await startApi({ node, listen: { host: "127.0.0.1", port: 0 }, log, limits });
  cleanups.push(() => api.close());
  return { node, api };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: unknown;
}

export interface Question {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

/** One request on a connection of its own; headers as given, unlike with fetch. */
export function ask(
  { port }: Api,
  { method = "GET", path, headers: given = {}, body }: Question,
): Promise<Answer> {
  // For some methods the client does not say by itself where the body ends.
  const length =
    body === undefined || "transfer-encoding" in given ? {} : { "content-length": lengthOf(body) };
  const headers = { ...length, ...given };
  return new Promise((resolve, reject) => {
    const client = request({ port, host: "127.0.0.1", method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0, headers: answered } = response;
        resolve({ status, headers: answered, text, json: jsonOf(text) });
      });
    });
    client.on("error", reject);
    client.end(body);
  });
}

/** Sends bytes as they are; resolves with all that came back when the other side has closed. */
export function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.setEncoding("latin1");
    socket.on("data", (text) => {
      received += String(text);
    });
    // A reset is one of the ways to be closed.
    socket.on("error", () => undefined);
    socket.once("close", () => resolve(received));
  });
}

export const post = (api: Api, path: string, body: unknown): Promise<Answer> =>
  ask(api, {
    method: "POST",
    path,
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

const lengthOf = (body: string | Uint8Array): string => String(Buffer.from(body).length);

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A payment of test account `from` to account 1, in hexadecimal. */
export async function transferHex(
  from: number,
  nonce: number,
  fee = 10n,
  chainId = testGenesis().chainId,
): Promise<string> {
  const payment = { to: accountKey(1), amount: 5n, fee, nonce };
  return toHex(await signTransfer(testAccountKey(from), chainId, payment));
}

export const accountKey = (index: number): string => toHex(rawPublicKey(testAccountKey(index)));

export async function until(condition: () => unknown): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
