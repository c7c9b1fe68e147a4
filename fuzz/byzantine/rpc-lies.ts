import type { RpcResponse } from "../../core/channels/rpc.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import { type ConnectionBehaviour, changing, type Line, saying } from "./behaviour.ts";
import { payment, randomHex, request, response } from "./messages.ts";

/** 7.7: a request is the permit for exactly one response. */

const ID = 1_000_000;
/** Below RPC_TIMEOUT_MS by more than a round trip. */
const LATE_MS = 4_500;
/** Three times what may be asked at once. */
const REQUESTS = 48;
const MANY = Number.POSITIVE_INFINITY;

/** Of what the liar announced first, so that it is asked. */
const answered = (
  name: string,
  breaks: string,
  endsIn: ConnectionBehaviour["endsIn"],
  answer: (id: number, body: RpcResponse, line: Line) => readonly ChannelMessage[],
): ConnectionBehaviour =>
  changing(
    name,
    breaks,
    endsIn,
    (said, line) =>
      said.channel === "rpc" && said.message.tag === "response"
        ? answer(said.message.id, said.message.body, line)
        : [said],
    ({ liar }) => void liar.submit(payment(liar.random)),
  );

export const RPC_LIES: readonly ConnectionBehaviour[] = [
  // Some may be answered before the last comes.
  saying("a fifth open request", "7.7", "overLimit", ({ request: ask, liar: { random } }) => {
    for (let count = 0; count < 64; count++)
      ask({ tag: "transactions", hashes: [randomHex(random) as Hash] }, () => {});
  }),
  saying("a request id that skips", "7.7", "badState", ({ say }) => say(request(ID, { tag: "peers" }))),
  saying("a response to nothing", "7.7", "responseMismatch", ({ say }) =>
    say(response(ID, { tag: "notFound" })),
  ),
  answered("a second response", "7.7", "responseMismatch", (id, body) => [
    response(id, body),
    response(id, body),
  ]),
  answered("a response of another kind", "7.7", "responseMismatch", (id) => [
    response(id, { tag: "peers", addresses: [] }),
  ]),
  answered("more entries than asked for", "7.7", "responseMismatch", (id, body) =>
    body.tag === "items"
      ? [response(id, { tag: "items", found: [...body.found, { tag: "none" }] })]
      : [response(id, body)],
  ),
  answered("responses at the last moment", "7.7", null, (id, body, line) => {
    line.after(LATE_MS, () => line.say(response(id, body)));
    return [];
  }),
  {
    ...saying("more requests than the buckets hold", "7.7", null, (line) => {
      let left = REQUESTS;
      const ask = (): void => {
        if (left-- > 0)
          line.request({ tag: "bestTip" }, ({ tag }) => {
            line.liar.note(tag);
            ask();
          });
      };
      ask();
    }),
    notes: { bestTip: [1, REQUESTS - 1], busy: [1, MANY] },
  },
  saying("a Reconcile of everything, again and again", "7.7", null, (line) => {
    let left = REQUESTS;
    const ranges = [{ from: 0n, to: 2n ** 64n - 1n, body: { tag: "ids", ids: [] } }] as const;
    const ask = (): void => {
      const salt = BigInt(line.liar.random.int(2 ** 32));
      if (left-- > 0) line.request({ tag: "reconcile", pool: 0, salt, ranges }, ask);
    };
    ask();
  }),
];
