import { playWithoutRelay } from "../service/devnet/by-relay.fixture.ts";
import { print } from "./measure.ts";

const NODES = 20;
const DEGREE = 5;

/** Step 4: one seed with HTTP signaling, 19 nodes that know only it and do not listen; then the seed is killed. */
export async function benchRelay(): Promise<void> {
  const { connectedMs, before, after, submitted, everywhere } = await playWithoutRelay(NODES, DEGREE);
  print({
    bench: "relay",
    nodes: NODES,
    connectedS: Math.round(connectedMs / 1_000),
    // Without the connection to the relay.
    directMin: Math.min(...before) - 1,
    directMax: Math.max(...before) - 1,
    withoutRelayMin: Math.min(...after),
    submitted,
    everywhere,
  });
}
