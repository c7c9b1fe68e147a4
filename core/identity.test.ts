import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "./bytes.ts";
import { hexToPeerId, isPublicKey, parsePeerId, peerPublicKey, toPeerId } from "./identity.ts";

/** Public keys and the ids other libp2p implementations give them. */
const KNOWN = [
  // The key of the test vectors of libp2p's peer-id specification.
  [
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
    "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
  ],
  ["00".repeat(32), "12D3KooW9pNAk8aiBuGVQtWRdbkLmo5qVL3e2h5UxbN2Nz9ttwiw"],
] as const;

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Base58 as one big number. */
function base58(bytes: Uint8Array): string {
  let text = "";
  for (let rest = BigInt(`0x${toHex(bytes)}`); rest > 0n; rest /= 58n)
    text = ALPHABET[Number(rest % 58n)] + text;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros) + text;
}

const keys = fc.uint8Array({ minLength: 32, maxLength: 32 });
const [[KNOWN_KEY, KNOWN_ID]] = KNOWN;

describe("identity: peer ids", () => {
  test.each(KNOWN)("of the key %s is the id libp2p knows it by", (key, id) => {
    expect(hexToPeerId(key)).toBe(id);
    expect(peerPublicKey(hexToPeerId(key))).toBe(key);
    expect(parsePeerId(id)).toBe(id);
  });

  test("of any key is the base58 of the prefix and the key, and gives the key back", () => {
    fc.assert(
      fc.property(keys, (key) => {
        const id = toPeerId(key);
        expect(id).toBe(base58(Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20, ...key)));
        expect(id).toMatch(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/);
        expect(parsePeerId(id)).toBe(id);
        expect(peerPublicKey(id)).toBe(toHex(key));
      }),
    );
  });

  test("compare as text the way their keys compare as bytes", () => {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        const [idA, idB] = [toPeerId(a), toPeerId(b)];
        expect(idA < idB ? -1 : idA > idB ? 1 : 0).toBe(Buffer.compare(a, b));
      }),
    );
  });

  const prefixed = (prefix: readonly number[], length: number): string =>
    base58(Uint8Array.of(...prefix, ...new Uint8Array(length).fill(7)));
  const malformed: readonly (readonly [string, string])[] = [
    ["nothing", ""],
    ["one character less", KNOWN_ID.slice(0, -1)],
    ["one character more", `${KNOWN_ID}1`],
    ["space around it", ` ${KNOWN_ID.slice(1)}`],
    ["a zero more in front", `1${KNOWN_ID.slice(0, -1)}`],
    ["no zero in front", `${KNOWN_ID.slice(1)}1`],
    ["characters that base58 does not have", `${KNOWN_ID.slice(0, -1)}0`],
    ["another prefix", `12D3KooX${KNOWN_ID.slice(8)}`],
    ["an RSA key's hash", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"],
    ["the same key as a CID", "bafzaajaiaejcbv22tyayfmikw7kuvxxtzfsaoog6c5zph3ngemsa46xvwimfghnqi"],
    ["a key of 31 bytes", prefixed([0x00, 0x24, 0x08, 0x01, 0x12, 0x20], 31)],
    ["a key of 33 bytes", prefixed([0x00, 0x24, 0x08, 0x01, 0x12, 0x20], 33)],
    ["another key type", prefixed([0x00, 0x24, 0x08, 0x02, 0x12, 0x20], 32)],
    ["another length of the key", prefixed([0x00, 0x24, 0x08, 0x01, 0x12, 0x21], 32)],
    ["another multihash", prefixed([0x00, 0x25, 0x08, 0x01, 0x12, 0x20], 32)],
  ];

  test.each(malformed)("%s is no peer id", (_, text) => {
    expect(parsePeerId(text)).toBeUndefined();
  });

  test("any text is either a peer id that encodes to itself, or none", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 52, maxLength: 52 }),
      fc
        .string({ unit: fc.constantFrom(...ALPHABET), minLength: 44, maxLength: 44 })
        .map((tail) => `12D3KooW${tail}`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const id = parsePeerId(text);
        if (id !== undefined) expect(hexToPeerId(peerPublicKey(id))).toBe(text);
      }),
      { numRuns: 150 },
    );
  });
});

describe("identity: public keys", () => {
  const P = 2n ** 255n - 19n;
  const encoded = (y: bigint, sign: 0n | 1n): string => {
    const bytes = Buffer.from((y | (sign << 255n)).toString(16).padStart(64, "0"), "hex");
    return bytes.reverse().toString("hex");
  };
  const Y_ORDER_8 = [
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  ].map((hex) => BigInt(`0x${Buffer.from(hex, "hex").reverse().toString("hex")}`));

  const smallOrder: readonly (readonly [string, string])[] = [
    ["the neutral element", encoded(1n, 0n)],
    ["the point of order 2", encoded(P - 1n, 0n)],
    ["a point of order 4", encoded(0n, 0n)],
    ["the other point of order 4", encoded(0n, 1n)],
    ...Y_ORDER_8.flatMap((y) =>
      ([0n, 1n] as const).map(
        (sign) => [`a point of order 8, ${encoded(y, sign)}`, encoded(y, sign)] as const,
      ),
    ),
  ];

  test.each(smallOrder)("%s is none, though on the curve", (_, key) => {
    expect(ed25519.Point.fromBytes(fromHex(key)).isSmallOrder()).toBe(true);
    expect(isPublicKey(key)).toBe(false);
  });

  const notCanonical: readonly (readonly [string, string])[] = [
    ["y = p, which is 0", encoded(P, 0n)],
    ["y = p + 1, which is 1", encoded(P + 1n, 0n)],
    ["the greatest y", encoded(2n ** 255n - 1n, 0n)],
    ["the greatest y with the sign", encoded(2n ** 255n - 1n, 1n)],
    ["the neutral element with the sign of a zero x", encoded(1n, 1n)],
    ["the point of order 2 with the sign of a zero x", encoded(P - 1n, 1n)],
    // All y from p to 2^255 - 1 are second encodings of 0 to 18; these four are on the curve.
    ...[3n, 4n, 5n, 6n].map((y) => [`y = p + ${y}`, encoded(P + y, 0n)] as const),
  ];

  test.each(notCanonical)("%s is none", (_, key) => {
    expect(isPublicKey(key)).toBe(false);
  });

  test("the canonical form of a y that was refused above is one", () => {
    expect([3n, 4n, 5n, 6n].map((y) => isPublicKey(encoded(y, 0n)))).toContain(true);
  });

  test.each([
    ["a y that no point has", encoded(2n, 0n)],
    ["nothing", ""],
    ["31 bytes", KNOWN_KEY.slice(2)],
    ["33 bytes", `${KNOWN_KEY}00`],
    ["half a byte", KNOWN_KEY.slice(1)],
    ["no hexadecimal text", "g".repeat(64)],
    ["uppercase text", KNOWN_KEY.toUpperCase()],
  ])("%s is none", (_, key) => {
    expect(isPublicKey(key)).toBe(false);
  });

  test("the key of any secret is one", () => {
    fc.assert(
      fc.property(keys, (secret) => {
        expect(isPublicKey(toHex(ed25519.getPublicKey(secret)))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("a point of great order with a part of small order is one: only small order itself is refused", () => {
    const torsion = ed25519.Point.fromBytes(fromHex(encoded(Y_ORDER_8[0] ?? 0n, 0n)));
    const mixed = ed25519.Point.BASE.add(torsion);
    expect(mixed.isTorsionFree()).toBe(false);
    expect(isPublicKey(toHex(mixed.toBytes()))).toBe(true);
  });
});
