import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexToPeerId } from "./identity.ts";
import { ADDRESS_BYTES_MAX } from "./limits.ts";
import { type DialAddress, formatMultiaddr, parseMultiaddr } from "./multiaddr.ts";

const peerId = hexToPeerId("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e");

const http = (hostKind: DialAddress["hostKind"], host: string, port = 7300): DialAddress => ({
  scheme: "http",
  hostKind,
  host,
  port,
  peerId,
});

const ACCEPTED: readonly (readonly [string, DialAddress])[] = [
  ["/ip4/127.0.0.1/tcp/7300/http", http("ip4", "127.0.0.1")],
  ["/ip6/::1/tcp/7300/http", http("ip6", "::1")],
  ["/ip6/2001:db8::7/tcp/1/http", http("ip6", "2001:db8::7", 1)],
  ["/dns/localhost/tcp/65535/http", http("dns", "localhost", 65_535)],
  ["/dns4/seed-1.example.org/tcp/443/https", { ...http("dns4", "seed-1.example.org", 443), scheme: "https" }],
  ["/dns6/Seed.Example.org/tcp/443/https", { ...http("dns6", "Seed.Example.org", 443), scheme: "https" }],
  ["/dns/seed.example./tcp/443/https", { ...http("dns", "seed.example.", 443), scheme: "https" }],
  ["/ip4/1.2.3.4/tcp/443/https", { ...http("ip4", "1.2.3.4", 443), scheme: "https" }],
];

/** Other spellings of an address: read, and written in the one form above. */
const NORMALIZED: readonly (readonly [string, string])[] = [
  ["/ip6/0:0:0:0:0:0:0:1/tcp/7300/http", "/ip6/::1/tcp/7300/http"],
  ["/ip6/2001:DB8::A/tcp/7300/http", "/ip6/2001:db8::a/tcp/7300/http"],
];

const EXPECTED = /expected \/ip4\|ip6\|dns\|dns4\|dns6\/HOST\/tcp\/PORT\/http\|https\/p2p\/PEER-ID$/;
const NO_HOST_NAME = /host name/;
const NO_PEER_ID = /peer id of an ed25519 key/;

const MALFORMED: readonly (readonly [string, string, RegExp])[] = [
  ["nothing", "", EXPECTED],
  ["a slash", "/", EXPECTED],
  ["a word", "localhost", EXPECTED],
  ["a URL", "http://127.0.0.1:7300", EXPECTED],
  ["no peer", "/ip4/127.0.0.1/tcp/7300/http", EXPECTED],
  ["an empty peer", "/ip4/127.0.0.1/tcp/7300/http/p2p/", EXPECTED],
  ["only a peer", `/p2p/${peerId}`, EXPECTED],
  ["no scheme", `/ip4/127.0.0.1/tcp/7300/p2p/${peerId}`, EXPECTED],
  ["another scheme", `/ip4/127.0.0.1/tcp/7300/ws/p2p/${peerId}`, EXPECTED],
  ["TLS spelled out", `/ip4/127.0.0.1/tcp/7300/tls/http/p2p/${peerId}`, EXPECTED],
  ["a path", `/ip4/127.0.0.1/tcp/7300/http/http-path/a/p2p/${peerId}`, EXPECTED],
  ["udp", `/ip4/127.0.0.1/udp/7300/http/p2p/${peerId}`, EXPECTED],
  ["no port", `/ip4/127.0.0.1/http/p2p/${peerId}`, EXPECTED],
  ["another kind of name", `/dnsaddr/seed.example/tcp/443/https/p2p/${peerId}`, EXPECTED],
  ["a zone", `/ip6zone/eth0/ip6/fe80::1/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["something after the peer", `/ip4/127.0.0.1/tcp/7300/http/p2p/${peerId}/http`, EXPECTED],
  ["two peers", `/ip4/127.0.0.1/tcp/7300/http/p2p/${peerId}/p2p/${peerId}`, EXPECTED],
  ["an unknown protocol", `/carrier-pigeon/7/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["an IPv4 address of three numbers", `/ip4/127.0.1/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["an IPv4 address out of range", `/ip4/256.0.0.1/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["an IPv4 address with a leading zero", `/ip4/127.0.0.01/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["a name as an IPv4 address", `/ip4/localhost/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["an IPv4 address as IPv6", `/ip6/127.0.0.1/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["an IPv6 address as IPv4", `/ip4/::1/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["an IPv6 address with a zone", `/ip6/fe80::1%eth0/tcp/7300/http/p2p/${peerId}`, EXPECTED],
  ["port 0", `/ip4/127.0.0.1/tcp/0/http/p2p/${peerId}`, /port 0/],
  ["port 65536", `/ip4/127.0.0.1/tcp/65536/http/p2p/${peerId}`, EXPECTED],
  ["a negative port", `/ip4/127.0.0.1/tcp/-1/http/p2p/${peerId}`, EXPECTED],
  ["a port in hexadecimal", `/ip4/127.0.0.1/tcp/0x50/http/p2p/${peerId}`, EXPECTED],
  ["a port with an exponent", `/ip4/127.0.0.1/tcp/8e1/http/p2p/${peerId}`, EXPECTED],
  ["a port with a leading zero", `/ip4/127.0.0.1/tcp/080/http/p2p/${peerId}`, EXPECTED],
  ["an empty host", `/dns//tcp/443/https/p2p/${peerId}`, EXPECTED],
  ["credentials in the host", `/dns/user@seed.example/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a query in the host", `/dns/seed.example?x/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a fragment in the host", `/dns/seed.example#x/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a port in the host", `/dns/seed.example:80/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["an escaped slash in the host", `/dns/seed.example%2Fx/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a space in the host", `/dns/seed example/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a new line in the host", `/dns/seed\nexample/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a new line at the end of the host", `/dns/seed\n/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a host that is not ASCII", `/dns4/s\u00e9ed.example/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["an IPv6 address as a name", `/dns6/[::1]/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a host that begins like an option", `/dns/-seed/tcp/443/https/p2p/${peerId}`, NO_HOST_NAME],
  ["a peer id cut short", `/ip4/127.0.0.1/tcp/7300/http/p2p/${peerId.slice(0, -1)}`, NO_PEER_ID],
  ["space after the peer id", `/ip4/127.0.0.1/tcp/7300/http/p2p/${peerId} `, NO_PEER_ID],
  [
    "the peer id of an RSA key",
    "/ip4/127.0.0.1/tcp/7300/http/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
    NO_PEER_ID,
  ],
  ["a relay", `/p2p/${peerId}/p2p-circuit/p2p/${peerId}`, /relay/],
  ["a relay by its address", `/ip4/1.2.3.4/tcp/80/http/p2p/${peerId}/p2p-circuit/p2p/${peerId}`, /relay/],
  ["too much text", `/dns/${"a".repeat(ADDRESS_BYTES_MAX)}/tcp/443/https/p2p/${peerId}`, /longer than 256/],
];

describe("multiaddr: dial addresses", () => {
  test.each(ACCEPTED)("%s is read and written", (start, address) => {
    const text = `${start}/p2p/${peerId}`;
    expect(parseMultiaddr(text)).toEqual({ tag: "address", address });
    expect(formatMultiaddr(address)).toBe(text);
  });

  test.each(NORMALIZED)("%s has one written form", (start, written) => {
    const parsed = parseMultiaddr(`${start}/p2p/${peerId}`);
    expect(parsed.tag === "address" && formatMultiaddr(parsed.address)).toBe(`${written}/p2p/${peerId}`);
  });

  test("a text of exactly the greatest length is read", () => {
    const host = "a".repeat(ADDRESS_BYTES_MAX - `/dns//tcp/443/https/p2p/${peerId}`.length);
    const text = `/dns/${host}/tcp/443/https/p2p/${peerId}`;
    expect(text).toHaveLength(ADDRESS_BYTES_MAX);
    expect(parseMultiaddr(text).tag).toBe("address");
    expect(parseMultiaddr(text.replace("a", "aa"))).toMatchObject({ tag: "malformed" });
  });

  test.each(MALFORMED)("%s is malformed, and the detail says why", (_, text, detail) => {
    const parsed = parseMultiaddr(text);
    expect(parsed).toMatchObject({ tag: "malformed" });
    expect(parsed.tag === "malformed" && parsed.detail).toMatch(detail);
  });

  test("any text is malformed or an address that survives being written, in ASCII and within its bound", () => {
    const words = [
      "ip4",
      "ip6",
      "dns",
      "dns4",
      "dns6",
      "tcp",
      "http",
      "https",
      "p2p",
      "p2p-circuit",
      "1.2.3.4",
    ];
    const parts = fc.oneof(
      fc.constantFrom(...words, "::1", "::ffff:1.2.3.4", "7300", "0", "", "seed.example", "ipfs", peerId),
      fc.string({ unit: "binary", maxLength: 6 }),
    );
    const nearly = fc
      .tuple(
        fc.constantFrom("/ip4/", "/ip6/", "/dns/", "/dns4/"),
        fc.oneof(
          parts,
          fc.ipV4(),
          fc.ipV6(),
          fc.domain(),
          fc.string({ unit: "grapheme-ascii", maxLength: 9 }),
        ),
        fc.oneof(fc.nat({ max: 70_000 }).map(String), fc.string({ maxLength: 3 })),
        fc.constantFrom("http", "https", "ws"),
      )
      .map(([kind, host, port, scheme]) => `${kind}${host}/tcp/${port}/${scheme}/p2p/${peerId}`);
    const texts = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.string({ maxLength: 60 }),
      fc.array(parts, { maxLength: 10 }).map((list) => `/${list.join("/")}`),
      nearly,
    );
    let addresses = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseMultiaddr(text);
        if (parsed.tag === "malformed") {
          expect(parsed.detail).not.toBe("");
          return;
        }
        addresses++;
        const written = formatMultiaddr(parsed.address);
        expect(written).toMatch(/^[!-~]+$/);
        expect(written.length).toBeLessThanOrEqual(ADDRESS_BYTES_MAX);
        expect(parseMultiaddr(written)).toEqual(parsed);
      }),
      { numRuns: 400 },
    );
    expect(addresses).toBeGreaterThan(0);
  });
});
