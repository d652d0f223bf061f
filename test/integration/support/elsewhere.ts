import { Client } from "../../../src/solver/index.js";
import { engines, type TestEngine } from "./engines.js";

/** Address of an engine that has nothing in its cache of what was just built: another one, else this one, emptied. */
export async function elsewhere({ name, address }: TestEngine): Promise<string> {
  const other = engines().find((engine) => engine.name !== name);
  if (other !== undefined) return other.address;
  await using client = await Client.connect(address);
  await client.prune({ all: true });
  return address;
}
