import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { DialAddress } from "../core/multiaddr.ts";
import { SIGNAL_CONTENT_TYPE, SIGNAL_PATH } from "../service/signaling-http.ts";
import { startListener } from "./connection.ts";
import { isConnected, startDialer } from "./join.ts";
import { median, print, rounded } from "./measure.ts";

/**
 * A flood of offers that nobody can open, against a node in a process of its own with the limits of 3.2, and honest
 * dials meanwhile, one per second. The node believes X-Forwarded-For of this process, so that everybody has an address.
 */

const FLOOD_S = 60;
/** Besides, for what a refusal costs: honest dials cost a hundred times as much, and never twice the same. */
const COST_S = 30;
/** By then the last honest dial is taken down, and the code that it has changed is compiled again. */
const SETTLE_S = 20;
const QUIET_S = 15;
const TURN_MS = 5;
const LIVE_PEERS = 8;
/** An honest dial has failed if it is not ready after so long. */
const DIAL_TIMEOUT_MS = 15_000;
const ENVELOPE_BYTES = 1_500;

export async function benchFlood(): Promise<void> {
  await flood("one address", 200, () => "99.0.0.1");
  await flood("256 groups", 1_000, (number) => `99.${number % 256}.1.${(number >> 8) % 250}`);
}

async function flood(name: string, perSecond: number, addressOf: (number: number) => string): Promise<void> {
  const { process: listener, address, ask, cpuUs, forget } = await startListener("flood");
  const live = await Promise.all(
    Array.from({ length: LIVE_PEERS }, (_, index) => dial(address, `21.${index}.0.1`)),
  );
  let honest = 0;
  const dialHonestly = async (): Promise<boolean> => {
    const { isReady, stop } = await dial(address, `20.${++honest}.0.1`);
    await stop();
    return isReady;
  };
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const statuses = new Map<number, number>();
  let refused = 0;
  const offer = async (number: number): Promise<void> => {
    const status = await post(agent, address, addressOf(number));
    refused += 1;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };

  /** So many offers in each second. @returns processor time of the listener in each, us */
  const play = async (
    seconds: number,
    offers: number,
    everySecond: () => void = () => {},
  ): Promise<readonly { us: number; refused: number }[]> => {
    const spent: { us: number; refused: number }[] = [];
    for (let second = 0; second < seconds; second++) {
      const [beforeUs, refusedBefore] = [await cpuUs(), refused];
      const startMs = performance.now();
      everySecond();
      for (let sent = 0; performance.now() < startMs + 1_000; await pause(TURN_MS)) {
        const due = Math.min(offers, Math.floor(((performance.now() - startMs) / 1_000) * offers) + 1);
        for (; sent < due; sent++) void offer(refused + sent);
      }
      spent.push({ us: (await cpuUs()) - beforeUs, refused: refused - refusedBefore });
    }
    return spent;
  };
  const dials: Promise<boolean>[] = [];
  // What runs for the first time takes memory for good.
  await play(QUIET_S, 0, () => void dialHonestly());
  const before = await ask();
  await play(FLOOD_S, perSecond, () => dials.push(dialHonestly()));
  const reached = (await Promise.all(dials)).filter(Boolean).length;
  const after = await ask();
  const offersPerSecond = rounded(refused / FLOOD_S);
  await play(SETTLE_S, perSecond);
  forget();
  const flooded = await play(COST_S, perSecond);
  const { requestMsP99 } = await ask();
  const quiet = await play(QUIET_S, 0);
  const quietUs = median(quiet.map(({ us }) => us));
  const costsMs = flooded.map(
    ({ us, refused: count }) => Math.max(0, us - quietUs) / 1_000 / Math.max(1, count),
  );
  print({
    bench: `flood from ${name}`,
    offersPerSecond,
    statuses: Object.fromEntries([...statuses].sort()),
    honestDials: dials.length,
    honestPercent: rounded((100 * reached) / dials.length),
    livePeersLost: live.filter(({ isLive }) => !isLive()).length,
    halfOpenMax: after.halfOpenMax,
    growthMegabytes: rounded((after.rssBytes - before.rssBytes) / 1e6),
    // Averages over one second each, without what the peers cost in a second without flood.
    cpuMsPerOffer: rounded(median(costsMs)),
    cpuMsPerOfferWorstSecond: rounded(Math.max(...costsMs)),
    // From its head to its answer.
    cpuMsPerOfferP99: rounded(requestMsP99),
  });
  agent.destroy();
  await Promise.all(live.map(({ stop }) => stop()));
  listener.disconnect();
}

function post(agent: Agent, { host, port }: DialAddress, from: string): Promise<number> {
  return new Promise((resolve) => {
    const posted = request({
      ...{ agent, host, port, path: SIGNAL_PATH, method: "POST" },
      headers: { "content-type": SIGNAL_CONTENT_TYPE, "x-forwarded-for": from },
    });
    posted.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    posted.on("error", () => resolve(0));
    posted.end(Buffer.alloc(ENVELOPE_BYTES, from));
  });
}

interface Dialed {
  readonly isReady: boolean;
  readonly isLive: () => boolean;
  readonly stop: () => Promise<void>;
}

/** A node of its own, whose requests come from this address. */
async function dial(address: DialAddress, from: string): Promise<Dialed> {
  const proxy = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, "x-forwarded-for": from };
    const { host, port } = address;
    const forwarded = request({ host, port, path: incoming.url, method: "POST", headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const node = await startDialer({ ...address, port: (proxy.address() as AddressInfo).port });
  const isLive = (): boolean => isConnected(node, address);
  for (const untilMs = performance.now() + DIAL_TIMEOUT_MS; !isLive() && performance.now() < untilMs; )
    await pause(20);
  return {
    isReady: isLive(),
    isLive,
    stop: async () => {
      await node.stop();
      proxy.close();
    },
  };
}
