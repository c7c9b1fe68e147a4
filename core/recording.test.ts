import { describe, expect, test } from "vitest";
import type { Input } from "./actions.ts";
import { tipOf } from "./block.ts";
import { header } from "./golden/structs.ts";
import type { AttemptId, RequestId } from "./ids.ts";
import {
  formatLine,
  HASH_EVERY,
  hashLine,
  parseLine,
  RECORDING_FORMAT,
  type RecordLine,
} from "./recording.ts";
import { type Config, initialState } from "./state.ts";
import { stateHash } from "./state-hash.ts";

const BUCKET = { burst: 1, perSecond: 1 };
const CONFIG: Config = {
  peerId: "12D3KooWtest" as Config["peerId"],
  publicKey: "00".repeat(32),
  chainId: "11".repeat(32),
  userAgent: "test",
  listen: null,
  peersMax: 10,
  peersMin: 0,
  allowPrivateCandidates: false,
  admission: { ip: BUCKET, group: BUCKET, global: BUCKET, halfOpenMax: 4, halfOpenPerGroupMax: 2 },
  chain: {
    slotsPerEpoch: 7,
    gracePeriodEnd: 7,
    genesisMs: 0,
    slotMs: 1_000,
    genesis: tipOf(header.value),
  },
  capacity: 10,
  produces: false,
  workFee: 5n,
};
const STATE = initialState(CONFIG, "5e".repeat(32), 1_000);
const HEADER: RecordLine = { tag: "header", format: RECORDING_FORMAT, version: "0.1.0", state: STATE };

const INPUTS: readonly Input[] = [
  { type: "tick" },
  { type: "command/stop" },
  { type: "command/submit", requestId: 1 as RequestId, pool: "transaction", bytes: Uint8Array.of(0, 255, 7) },
  { type: "event/envelopeOpened", attemptId: 3 as AttemptId, plaintext: null },
  { type: "event/itemsLoaded", attemptId: 3 as AttemptId, rpcId: 0, items: [null, new Uint8Array()] },
  { type: "event/connectionClosed", attemptId: 3 as AttemptId, error: 'quote " and \n line' },
];

describe("recordings", () => {
  test("every line is one line of text and comes back as it was", () => {
    for (const input of INPUTS) {
      const line: RecordLine = { tag: "input", timeMs: 1_234, input };
      const text = formatLine(line);
      expect(text).not.toContain("\n");
      expect(parseLine(text)).toEqual(line);
    }
    expect(parseLine(formatLine(hashLine(STATE, HASH_EVERY)))).toEqual(hashLine(STATE, HASH_EVERY));
  });

  test("the state in a header comes back with the same hash", () => {
    const parsed = parseLine(formatLine(HEADER));
    expect(parsed.tag).toBe("header");
    expect(parsed.tag === "header" && stateHash(parsed.state)).toBe(stateHash(STATE));
  });

  test("P29: a line that is torn anywhere is an error, never half an input", () => {
    const texts = [
      formatLine(HEADER),
      formatLine(hashLine(STATE, 100)),
      ...INPUTS.map((input) => formatLine({ tag: "input", timeMs: 1, input })),
    ];
    for (const text of texts) {
      const step = Math.max(1, Math.floor(text.length / 200));
      for (let length = 0; length < text.length; length += step) {
        expect(() => parseLine(text.slice(0, length))).toThrow();
      }
    }
  });

  test.each([
    ["null", /is not an object/],
    ["[1]", /is not an object/],
    ["{}", /neither a header, an input nor a hash/],
    ['{"t":1,"input":{}}', /neither/],
    ['{"t":"1","input":{"type":"tick"}}', /neither/],
    ['{"pollen":99,"version":"x","state":{}}', /format 99, this version reads 1/],
    ['{"after":1,"hash":"x"}', /neither/],
  ])("%s is refused", (text, detail) => {
    expect(() => parseLine(text)).toThrow(detail);
  });

  test("the hash line says how many inputs came before and what each field was", () => {
    const line = hashLine(STATE, 300);
    expect(line).toMatchObject({ tag: "hash", inputs: 300, stateHash: stateHash(STATE) });
    expect(line.tag === "hash" && Object.keys(line.fields).sort()).toEqual(Object.keys(STATE).sort());
  });
});
