import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Answer,
  ask,
  exchange,
  type NodeWithApi,
  type Question,
  startWithApi,
  transferHex,
} from "./api.fixture.ts";

const { node, api } = await startWithApi({ peersMax: 4, produce: "drawn", workFee: 0n });
const transfer = await transferHex(0, 1);

/** Whatever is asked: an answer of the API, a problem if it is no success, and never a failure of the node. */
function assertAnswer(question: unknown, { status, headers, text, json }: Answer): void {
  expect([question, status]).not.toEqual([question, 500]);
  if (status < 400 || text === "") return;
  expect(headers).toMatchObject({ "content-type": "application/problem+json" });
  expect(json).toEqual({
    type: expect.any(String),
    title: expect.any(String),
    status,
    detail: expect.any(String),
  });
}

async function assertAlive({ node, api }: NodeWithApi): Promise<void> {
  expect(await ask(api, { path: "/v1/status" })).toMatchObject({
    status: 200,
    json: { peerId: node.peerId },
  });
}

const methods = fc.constantFrom(
  "GET",
  "HEAD",
  "POST",
  "DELETE",
  "PUT",
  "PATCH",
  "OPTIONS",
  "TRACE",
  "PROPFIND",
);

const segment = fc.oneof(
  fc.constantFrom(
    "v1",
    "metrics",
    "status",
    "peers",
    "transactions",
    "snarks",
    "commitments",
    "blocks",
    "tip",
    "producer",
    "worker",
    "bans",
    "20.30.40.0%2F24",
    "accounts",
    "..",
    ".",
    "",
    node.peerId,
    "%2f",
    "%00",
    "%",
  ),
  fc.string({ maxLength: 20 }).map((text) => encodeURIComponent(text.replace(/[\ud800-\udfff]/g, ""))),
  fc.stringMatching(/^[0-9a-fA-F]{64}$/),
  fc.stringMatching(/^[!-~]{0,30}$/),
);
const search = fc.oneof(
  fc.constant(""),
  fc.constantFrom(
    "?limit=5",
    "?after=-1",
    "?limit=1&limit=2",
    "?__proto__=1",
    "?constructor=1",
    "?%",
    "?a[b]=c",
  ),
  fc
    .string({ maxLength: 20 })
    .map((text) => `?limit=${encodeURIComponent(text.replace(/[\ud800-\udfff]/g, ""))}`),
);
const known = fc.constantFrom(
  "/v1/status",
  "/v1/peers",
  "/v1/transactions",
  "/v1/snarks",
  "/v1/commitments",
  "/v1/blocks",
  "/v1/blocks/tip",
  "/v1/producer",
  "/v1/worker",
  `/v1/peers/${node.peerId}`,
  "/v1/addresses",
  "/v1/bans",
  `/v1/bans/${node.peerId}`,
  "/v1/bans/20.30.40.0%2F24",
);
const paths = fc
  .tuple(
    fc.oneof(
      known,
      fc.array(segment, { maxLength: 5 }).map((parts) => `/${parts.join("/")}`),
    ),
    search,
  )
  .map(([path, query]) => path + query);

const bodies = fc.oneof(
  fc.constant(undefined),
  fc.json(),
  fc.uint8Array({ maxLength: 200 }),
  fc
    .record({ bytes: fc.oneof(fc.stringMatching(/^[0-9a-f]{0,60}$/), fc.constant(transfer), fc.anything()) })
    .map(textOf),
  fc
    .record({ address: fc.oneof(fc.string(), fc.webUrl(), fc.stringMatching(/^(\/[a-z0-9.:]{0,9}){0,8}$/)) })
    .map(textOf),
  fc.record({ enabled: fc.anything() }).map(textOf),
  fc
    .record({
      id: fc.oneof(
        fc.string(),
        fc.constantFrom("20.30.40.0/24", "20.30.40.1/24", "2a00::/56", node.peerId),
        fc.ipV4().map((address) => `${address}/24`),
        fc.ipV6().map((address) => `${address}/56`),
      ),
      forMs: fc.oneof(fc.constant(null), fc.maxSafeInteger(), fc.nat(1_000), fc.anything()),
    })
    .map(textOf),
  fc.constantFrom('{"enabled":true}', '{"enabled":false}'),
  fc.constantFrom("{", "[".repeat(60_000), '{"bytes":'.repeat(7_000), "x".repeat(70_000), "null"),
);

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value, (_key, each) => (typeof each === "bigint" ? String(each) : each)) ?? "";
  } catch {
    return "";
  }
}

const headers = fc
  .record(
    {
      "content-type": fc.constantFrom(
        "application/json",
        "application/json;charset=x",
        "text/plain",
        "",
        "/;;=",
      ),
      host: fc.constantFrom("localhost", "127.0.0.1", "[::1]:1", "[", "evil.example", ":::"),
      origin: fc.constantFrom("null", "http://localhost", "http://evil.example", "x"),
      "x-forwarded-for": fc.stringMatching(/^[ -~]{0,40}$/),
      "content-encoding": fc.constantFrom("gzip", "br", "x"),
      expect: fc.constant("100-continue"),
      cookie: fc.integer({ min: 1, max: 12_000 }).map((length) => "c".repeat(length)),
      range: fc.constant("bytes=0-1"),
    },
    { requiredKeys: [] },
  )
  .map((record) => ({ ...record }) as Record<string, string>);

test("any request gets an answer, and the node lives on", async () => {
  const question: fc.Arbitrary<Question> = fc
    .record({ method: methods, path: paths, headers, body: bodies })
    .map(({ body, ...others }) => (body === undefined ? others : { ...others, body }));
  await fc.assert(
    fc.asyncProperty(question, async (each) => assertAnswer(each, await ask(api, each))),
    { numRuns: 200 },
  );
  await assertAlive({ node, api });
});

test("any bytes get at most an HTTP answer and the end of the connection", async () => {
  const hasty = await startWithApi(
    {},
    {
      headTimeoutMs: 200,
      requestTimeoutMs: 200,
      checkIntervalMs: 50,
      idleTimeoutMs: 100,
      replyTimeoutMs: 900,
    },
  );
  const head = "POST /v1/transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.string({ minLength: 1, maxLength: 100, unit: "binary" }),
    fc
      .array(
        fc.constantFrom(
          "content-length: 5",
          "content-length: -1",
          "transfer-encoding: chunked",
          "a",
          ":",
          "\0",
        ),
      )
      .map((lines) => `${head}${lines.join("\r\n")}\r\n\r\n`),
    fc.constantFrom(
      `${head}content-length: 9007199254740993\r\n\r\n{}`,
      `${head}transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`,
      `${head}x: ${"y".repeat(200_000)}\r\n\r\n`,
      `${head}${"x: y\r\n".repeat(5_000)}\r\n`,
      `GET /${"x".repeat(200_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
      "GET http://evil.example/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
      "CONNECT localhost:22 HTTP/1.1\r\nhost: localhost\r\n\r\n",
      "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { minLength: 20, maxLength: 20 }), async (pieces) => {
      const answers = await Promise.all(pieces.map((piece) => exchange(hasty.api.port, piece)));
      for (const answer of answers) expect(answer).toMatch(/^(?:HTTP\/1\.1 (?!500)\d{3} |$)/);
    }),
    { numRuns: 2 },
  );
  await assertAlive(hasty);
});
