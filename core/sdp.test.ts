import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkSdp, sdpWithCandidates } from "./sdp.ts";

const FINGERPRINT = "ab".repeat(32);
const PUBLIC = "candidate:1 1 UDP 2122317823 20.30.40.50 7000 typ host";

const DIGEST = `a=fingerprint:sha-256 ${(FINGERPRINT.match(/../g) ?? []).join(":").toUpperCase()}`;
const BARE: readonly string[] = [
  "v=0",
  "o=rtc 1 0 IN IP4 127.0.0.1",
  "s=-",
  "t=0 0",
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
  "a=max-message-size:262144",
  "a=setup:actpass",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:0123456789012345678901",
  DIGEST,
];

const joined = (lines: readonly string[], end = "\r\n"): string => lines.map((line) => line + end).join("");
const replaced = (start: string, ...by: readonly string[]): string =>
  joined(BARE.flatMap((line) => (line.startsWith(start) ? by : [line])));
const withCandidates = (...candidates: readonly string[]): string =>
  joined([...BARE, ...candidates.map((value) => `a=${value}`), "a=end-of-candidates"]);

describe("SDP rules (3)", () => {
  test("a complete offer is accepted; candidates are taken out of it and listed", () => {
    expect(checkSdp(withCandidates(PUBLIC), "offer", false)).toEqual({
      tag: "ok",
      fingerprint: FINGERPRINT,
      bare: joined(BARE),
      candidates: [PUBLIC],
    });
  });

  const BAD: readonly (readonly [string, string, RegExp])[] = [
    ["no m-line", replaced("m="), /m=application/],
    ["two m-lines", joined([...BARE, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"]), /m=application/],
    ["an audio line", replaced("m=", "m=audio 9 UDP/TLS/RTP/SAVPF 111"), /m=application/],
    ["an audio line beside it", joined([...BARE, "m=audio 9 RTP 1"]), /m=application/],
    ["no fingerprint", replaced("a=fingerprint"), /a=fingerprint/],
    ["two fingerprints", joined([...BARE, DIGEST]), /a=fingerprint/],
    ["a sha-1 fingerprint", replaced("a=fingerprint", "a=fingerprint:sha-1 AB:CD"), /sha-256/],
    ["a short fingerprint", replaced("a=fingerprint", DIGEST.slice(0, -3)), /sha-256/],
    ["a long fingerprint", replaced("a=fingerprint", `${DIGEST}:AB`), /sha-256/],
    ["an offer that is active", replaced("a=setup", "a=setup:active"), /actpass/],
    ["no setup", replaced("a=setup"), /a=setup/],
    ["two setups", joined([...BARE, "a=setup:actpass"]), /a=setup/],
    ["no max-message-size", replaced("a=max-message-size"), /max-message-size/],
    ["max-message-size 131071", replaced("a=max-message-size", "a=max-message-size:131071"), /131072/],
    ["max-message-size 0", replaced("a=max-message-size", "a=max-message-size:0"), /131072/],
    ["max-message-size -1", replaced("a=max-message-size", "a=max-message-size:-1"), /131072/],
    ["max-message-size 1e9", replaced("a=max-message-size", "a=max-message-size:1e9"), /131072/],
    ["two max-message-sizes", joined([...BARE, "a=max-message-size:1"]), /max-message-size/],
    ["17 candidates", withCandidates(...Array.from({ length: 17 }, () => PUBLIC)), /16 candidates/],
    ["an umlaut", joined([...BARE, "s=ü"]), /ASCII/],
    ["a zero byte", joined([...BARE, "s=\0"]), /ASCII/],
    ["a tab", joined([...BARE, "s=\t"]), /ASCII/],
    ["a carriage return inside a line", joined([...BARE, `s=x\ra=${PUBLIC}`]), /carriage return/],
    ["a split attribute name", joined([...BARE, `a=candi\rdate:1 1 UDP 1 10.0.0.1 7 typ host`]), /carriage/],
    ["a carriage return at the end", `${joined(BARE)}\r`, /carriage return/],
    ["nothing", "", /m=application/],
  ];
  test.each(BAD)("%s is refused", (_, sdp, detail) => {
    const checked = checkSdp(sdp, "offer", true);
    expect(checked.tag).toBe("bad");
    expect(checked.tag === "bad" && checked.detail).toMatch(detail);
  });

  test.each(["active", "passive"])("an answer may be %s", (setup) => {
    expect(checkSdp(replaced("a=setup", `a=setup:${setup}`), "answer", true).tag).toBe("ok");
  });

  test("an answer may not be actpass", () => {
    expect(checkSdp(joined(BARE), "answer", true).tag).toBe("bad");
  });

  test("131072 is enough, 16 candidates are not too many, LF alone ends a line", () => {
    expect(checkSdp(replaced("a=max-message-size", "a=max-message-size:131072"), "offer", true).tag).toBe(
      "ok",
    );
    const many = checkSdp(withCandidates(...Array.from({ length: 16 }, () => PUBLIC)), "offer", true);
    expect(many.tag === "ok" && many.candidates.length).toBe(16);
    expect(checkSdp(joined(BARE, "\n"), "offer", true).tag).toBe("ok");
  });

  const DROPPED: readonly (readonly [string, string])[] = [
    ["TCP", "candidate:1 1 TCP 1 20.30.40.50 7000 typ host tcptype passive"],
    ["a name", "candidate:1 1 UDP 1 example.com 7000 typ host"],
    ["an mDNS name", "candidate:1 1 UDP 1 2f2e.local 7000 typ host"],
    ["port 0", "candidate:1 1 UDP 1 20.30.40.50 0 typ host"],
    ["port 65536", "candidate:1 1 UDP 1 20.30.40.50 65536 typ host"],
    ["a port that is no number", "candidate:1 1 UDP 1 20.30.40.50 7e3 typ host"],
    ["multicast", "candidate:1 1 UDP 1 224.0.0.1 7000 typ host"],
    ["no address", "candidate:1 1 UDP 1"],
    ["an octal address", "candidate:1 1 UDP 1 0177.0.0.1 7000 typ host"],
    ["nothing", "candidate:"],
  ];
  test.each(DROPPED)("a candidate with %s is left out, wherever it came from", (_, value) => {
    const checked = checkSdp(withCandidates(value, PUBLIC), "offer", true);
    expect(checked.tag === "ok" && checked.candidates).toEqual([PUBLIC]);
    expect(checked.tag === "ok" && checked.bare).toBe(joined(BARE));
  });

  test.each(["127.0.0.1", "10.1.2.3", "192.168.0.9", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"])(
    "a candidate at %s counts only where local ones do",
    (address) => {
      const local = `candidate:1 1 udp 1 ${address} 7000 typ host`;
      const strict = checkSdp(withCandidates(local, PUBLIC), "offer", false);
      const loose = checkSdp(withCandidates(local, PUBLIC), "offer", true);
      expect(strict.tag === "ok" && strict.candidates).toEqual([PUBLIC]);
      expect(loose.tag === "ok" && loose.candidates).toEqual([local, PUBLIC]);
    },
  );

  test("the dialer's SDP is the bare one and the usable candidates, and passes again", () => {
    const checked = checkSdp(withCandidates(PUBLIC), "offer", false);
    if (checked.tag === "bad") throw new Error(checked.detail);
    const sdp = sdpWithCandidates(checked.bare, checked.candidates);
    expect(sdp).toBe(withCandidates(PUBLIC));
    expect(checkSdp(sdp, "offer", false)).toEqual(checked);
  });

  test("whatever the text, the result is a verdict, and an accepted one has no candidate in its bare form", () => {
    const line = fc.oneof(
      fc.constantFrom(
        ...BARE,
        `a=${PUBLIC}`,
        "a=candidate:",
        " a=candidate:x",
        "\r",
        "",
        "a=end-of-candidates",
      ),
      fc.string({ maxLength: 40, unit: "binary" }),
    );
    const anyEnd = fc.constantFrom("\r\n", "\n", "\r");
    fc.assert(
      fc.property(fc.shuffledSubarray([...BARE]), fc.array(fc.tuple(line, anyEnd)), (some, extra) => {
        const sdp = joined(some) + extra.map(([text, end]) => text + end).join("");
        const checked = checkSdp(sdp, "offer", false);
        if (checked.tag === "bad") return;
        expect(checked.bare.split(/[\r\n]+/).filter((text) => text.startsWith("a=candidate:"))).toEqual([]);
        expect(checked.fingerprint).toMatch(/^[0-9a-f]{64}$/);
      }),
      { numRuns: 300 },
    );
  });
});
