import { expect, test } from "vitest";
import { contradictionIn, DEFAULT_CONFIG, parseSettings, resolveConfig } from "./config.ts";

const PEER = "/ip4/127.0.0.1/tcp/7300/http/p2p/12D3KooWQy6cLvrYWKEcxh3rbDN2GrH6i3wfqK4cGEqQkMYJjcvF";

const settings = (file: unknown) => {
  const parsed = parseSettings(JSON.stringify(file));
  if (parsed.tag === "failed") throw new Error(parsed.details.join("; "));
  return parsed.value;
};

test("without flags and file everything is as documented", () => {
  expect(resolveConfig({}, {})).toEqual(DEFAULT_CONFIG);
  expect(resolveConfig({}, settings({}))).toEqual(DEFAULT_CONFIG);
});

test.each([
  ["listen", "0.0.0.0:80", { host: "0.0.0.0", port: 80 }],
  ["listen", "[::1]:0", { host: "::1", port: 0 }],
  ["listen", "none", null],
  ["admin", "localhost:65535", { host: "localhost", port: 65_535 }],
  ["admin", "none", null],
  ["peer", [PEER], [expect.objectContaining({ host: "127.0.0.1", port: 7300 })]],
  ["data", "alice", "alice"],
  ["record", "runs/1", "runs/1"],
  ["maxPeers", 7, 7],
  ["maxUpload", "500kB/s", 500_000],
  ["maxUpload", "1.5MiB", 1_572_864],
  ["minPeers", 0, 0],
  ["minPeers", 12, 12],
  ["poolSize", 10_000, 10_000],
  ["slot", "500ms", 500],
  ["slot", "1.5s", 1_500],
  ["slot", "1h", 3_600_000],
  ["genesisTime", "2026-01-01T01:00:00+01:00", Date.UTC(2026, 0, 1)],
  ["genesisTime", "2026-01-01T00:00:00.5Z", Date.UTC(2026, 0, 1) + 500],
  ["genesisTime", 1_800_000_000_000, 1_800_000_000_000],
  ["genesisTime", "1800000000000", 1_800_000_000_000],
  ["produce", true, "drawn"],
  ["produce", false, null],
  ["produce", 0, 0],
  ["produce", 63, 63],
  ["snarkWorker", true, true],
  ["fee", 0, 0n],
  ["fee", 25, 25n],
  ["admissionPerIp", 5, 5],
  ["trustedProxy", ["10.0.0.0/8", "::1"], ["10.0.0.0/8", "::1"]],
  ["logLevel", "trace", "trace"],
  ["jsonLogs", true, true],
])("the key %s of a file: %o", (key, value, meaning) => {
  expect(resolveConfig({}, settings({ [key]: value }))).toEqual({ ...DEFAULT_CONFIG, [key]: meaning });
});

test("every key has a case above", () => {
  expect(Object.keys(DEFAULT_CONFIG).toSorted()).toEqual([
    "admin",
    "admissionPerIp",
    "data",
    "fee",
    "genesisTime",
    "jsonLogs",
    "listen",
    "logLevel",
    "maxPeers",
    "maxUpload",
    "minPeers",
    "peer",
    "poolSize",
    "produce",
    "record",
    "slot",
    "snarkWorker",
    "trustedProxy",
  ]);
});

test("flags win over the file, and only where they are given", () => {
  const file = settings({ listen: "127.0.0.1:1", maxPeers: 3, logLevel: "warn" });
  const flags = { listen: "none" as const, maxPeers: 4, logLevel: undefined };
  expect(resolveConfig(flags, file)).toMatchObject({ listen: null, maxPeers: 4, logLevel: "warn" });
});

test("a fee without a worker is a contradiction, wherever the two are said", () => {
  const [fee, worker] = [settings({ fee: 2 }), settings({ snarkWorker: true })];
  expect(contradictionIn(fee, {})).toMatch(/--snark-worker/);
  expect(contradictionIn({}, fee)).toMatch(/--snark-worker/);
  expect(contradictionIn({ snarkWorker: false }, settings({ fee: 2, snarkWorker: true }))).not.toBeNull();
  for (const [flags, file] of [
    [fee, worker],
    [worker, fee],
    [worker, {}],
    [{}, {}],
  ] as const) {
    expect(contradictionIn(flags, file)).toBeNull();
  }
});

test.each([
  [{ listen: "7300" }, 'expected HOST:PORT, [IPV6]:PORT or none, got "7300"'],
  [{ listen: "127.0.0.1:65536" }, "expected HOST:PORT"],
  [{ listen: "::1:7300" }, "expected HOST:PORT"],
  [{ listen: "[127.0.0.1]:7300" }, "expected HOST:PORT"],
  [{ listen: "http://x:1" }, "expected HOST:PORT"],
  [{ listen: " x:1" }, "expected HOST:PORT"],
  [{ listen: null }, "listen: expected string, got null"],
  [{ peer: ["/ip4/1.2.3.4"] }, "peer[0]: expected /ip4|ip6"],
  [{ peer: ["x"] }, 'peer[0]: "x" is not a multiaddr'],
  [{ peer: PEER }, "peer: expected array, got"],
  [{ data: "" }, "data: expected a text that is not empty"],
  [{ maxPeers: 0 }, "maxPeers: expected at least 1, got 0"],
  [
    { maxUpload: "9kB/s" },
    'maxUpload: expected at least 20kB/s, such as 500kB/s, 2MB/s or 1.5MiB/s, got "9kB/s"',
  ],
  [
    { maxUpload: "fast" },
    'maxUpload: expected at least 20kB/s, such as 500kB/s, 2MB/s or 1.5MiB/s, got "fast"',
  ],
  [{ maxPeers: "9" }, 'maxPeers: expected number, got "9"'],
  [{ poolSize: 0 }, "poolSize: expected at least 1, got 0"],
  [{ poolSize: 100_001 }, "poolSize: expected at most 100000, got 100001"],
  [{ slot: 3 }, "slot: expected string, got 3"],
  [{ slot: "3" }, 'slot: expected 100ms to 1h, got "3"'],
  [{ slot: "99ms" }, 'slot: expected 100ms to 1h, got "99ms"'],
  [{ slot: "61m" }, 'slot: expected 100ms to 1h, got "61m"'],
  [{ slot: "0.1001s" }, 'slot: expected 100ms to 1h, got "0.1001s"'],
  [{ genesisTime: "yesterday" }, "genesisTime: expected an ISO time such as"],
  [{ genesisTime: "2026-01-01T00:00:00" }, "genesisTime: expected an ISO time such as"],
  [{ genesisTime: "2026-02-30T00:00:00Z" }, "genesisTime: expected an ISO time such as"],
  [{ genesisTime: "2019-12-31T23:59:59Z" }, "from 2020 to 2100"],
  [{ genesisTime: [1_800_000_000_000] }, "genesisTime: expected an ISO time such as"],
  [{ produce: 64 }, "produce: expected the number of a test account, 0 to 63, got 64"],
  [{ produce: 1.5 }, "produce: expected the number of a test account, 0 to 63, got 1.5"],
  [{ produce: "5" }, 'produce: expected the number of a test account, 0 to 63, got "5"'],
  [{ snarkWorker: 1 }, "snarkWorker: expected boolean, got 1"],
  [{ fee: -1 }, "fee: expected at least 0, got -1"],
  [{ fee: "1" }, 'fee: expected number, got "1"'],
  [{ admissionPerIp: 1.5 }, "admissionPerIp: expected int, got 1.5"],
  [{ trustedProxy: ["10.0.0.0/99"] }, 'trustedProxy[0]: "10.0.0.0/99" is neither'],
  [{ logLevel: "loud" }, "logLevel: expected one of"],
  [{ jsonLogs: "yes" }, 'jsonLogs: expected boolean, got "yes"'],
  [{ maxPeer: 5 }, 'unknown key "maxPeer"; did you mean "maxPeers"?'],
  [{ "max-peers": 5 }, 'unknown key "max-peers"; did you mean "maxPeers"?'],
])("%o is refused with place, expectation and finding", (file, detail) => {
  const parsed = parseSettings(JSON.stringify(file));
  expect(parsed).toEqual({ tag: "failed", details: [expect.stringContaining(detail)] });
});
