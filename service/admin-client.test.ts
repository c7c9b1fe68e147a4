import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { AdminError, createAdminClient } from "./admin-client.ts";
import { testAccountKey } from "./chain/genesis.ts";
import { decodeTransfer } from "./chain/transfer.ts";
import { type Sent, sendPayments } from "./cli/tx.ts";
import { rawPublicKey } from "./ed25519.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function failure(promise: Promise<unknown>): Promise<AdminError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AdminError) return error;
  throw new Error(`expected an AdminError, got ${String(error)}`);
}

test("admin client: a text that is no address is told at once, with an example", () => {
  for (const text of ["", "http://", "ftp://127.0.0.1", "not a host", "http://127.0.0.1:99999"]) {
    expect(() => createAdminClient(text), text).toThrow(/is not a URL .* such as http:\/\/127/);
  }
  expect(createAdminClient("127.0.0.1:7380").url).toBe("http://127.0.0.1:7380");
  expect(createAdminClient("http://127.0.0.1:7380/v1/status").url).toBe("http://127.0.0.1:7380");
});

test("admin client: where nothing listens, the error says what to do", async () => {
  const url = await serve(() => undefined);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  const { message, status } = await failure(createAdminClient(url).status());
  expect(message).toBe(
    `cannot reach a node at ${url}: nothing listens there; is it running with --admin there?`,
  );
  expect(status).toBeNull();
});

test("admin client: a connection that is cut is an error too", async () => {
  const url = await serve((request) => request.socket.destroy());
  expect((await failure(createAdminClient(url).status())).message).toMatch(/the connection was cut/);
});

test("admin client: what is no node is told apart", async () => {
  for (const body of ["<html>", "{}", "null", '{"peerId":1}']) {
    const url = await serve((_request, response) => response.end(body));
    expect((await failure(createAdminClient(url).status())).message).toMatch(
      /does not answer as a pollen node/,
    );
  }
});

test("admin client: a refusal has the reason of the node and its status", async () => {
  const url = await serve((_request, response) => {
    response.writeHead(409, { "content-type": "application/problem+json" });
    response.end(JSON.stringify({ title: "Conflict", detail: "nonce 1 is used" }));
  });
  const error = await failure(createAdminClient(url).submit(new Uint8Array(1)));
  expect(error).toMatchObject({ message: "nonce 1 is used", status: 409 });
});

/** A node that knows one account, whose next nonce another sender moves on before the submissions of `taken`. */
function account(taken: ReadonlySet<number>, conflict: () => boolean): Promise<string> {
  let nextNonce = 1;
  let submissions = 0;
  return serve((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const answer = (status: number, body: object): void => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      };
      if (request.url === "/v1/status") {
        answer(200, {
          peerId: "12D3",
          addresses: [],
          chainId: "00".repeat(32),
          peers: { connected: 0 },
          bestTip: { hash: "", height: 0, ledgerRoot: "" },
          reorganisations: { count: 0, deepest: 0 },
          sync: null,
          pools: {
            transactions: { size: 0, digest: "", keptAside: 0 },
            snarks: { size: 0, digest: "" },
            commitments: { size: 0, digest: "" },
          },
          worker: null,
          bodies: { transactions: 0, snarks: 0 },
          disconnects: {},
        });
      } else if (request.method === "GET") {
        answer(200, { nonce: 0, nextNonce });
      } else {
        if (taken.has(submissions)) nextNonce += 1;
        submissions += 1;
        const { bytes } = JSON.parse(Buffer.concat(parts).toString()) as { bytes: string };
        const decoded = decodeTransfer(Uint8Array.from(Buffer.from(bytes, "hex")));
        const nonce = decoded.tag === "failed" ? -1 : decoded.value.nonce;
        if (nonce !== nextNonce || conflict()) answer(409, { detail: `nonce ${nonce} is used` });
        else {
          nextNonce += 1;
          answer(201, { hash: `hash of ${nonce}` });
        }
      }
    });
  });
}

const payments = {
  fee: 1n,
  amount: 1n,
  to: Buffer.from(rawPublicKey(testAccountKey(1))).toString("hex"),
  count: 3,
  from: 0,
};

test("tx send: nonces grow, and one that somebody else took is skipped", async () => {
  const url = await account(new Set([1]), () => false);
  const sent: Sent[] = [];
  await sendPayments(createAdminClient(url), payments, (each) => sent.push(each));
  expect(sent).toEqual([1, 3, 4].map((nonce) => ({ hash: `hash of ${nonce}`, nonce })));
});

test("tx send: a conflict that is not about the nonce is told at once", async () => {
  const url = await account(new Set(), () => true);
  const { message } = await failure(sendPayments(createAdminClient(url), payments, () => undefined));
  expect(message).toBe("nonce 1 is used");
});

test("tx send: somebody who always is faster is given up against", async () => {
  const url = await account(new Set(Array.from({ length: 100 }, (_, index) => index)), () => false);
  expect((await failure(sendPayments(createAdminClient(url), payments, () => undefined))).status).toBe(409);
});
