import { createDeferred, type Deferred } from "../../../src/internal/deferred.js";
import { serveSteps } from "./step-server.js";

/** Steps that run until the test lets them go on, and how often they ran. */
export interface StepGate extends AsyncDisposable {
  /** A shell command that asks the gate of that name, waits for it to open, and prints a line `NAME is open`. */
  wait(name: string): string;
  /** Lets those go on who wait, and who come later. */
  open(name: string): void;
  /** How many asked so far. */
  asked(name: string): number;
}

/** Opens a gate for steps. */
export async function stepGate(): Promise<StepGate> {
  const gates = new Map<string, Deferred<void>>();
  const gate = (name: string): Deferred<void> => {
    const found = gates.get(name) ?? createDeferred<void>();
    gates.set(name, found);
    return found;
  };
  const server = await serveSteps({}, async ({ url = "" }, response) => {
    const name = url.slice(1);
    await gate(name).promise;
    response.end(`${name} is open\n`);
  });
  return {
    wait: (name) => `wget -q -O - ${server.url}/${name}`,
    open: (name) => gate(name).resolve(),
    asked: (name) => server.requests.filter((request) => request === `GET /${name}`).length,
    [Symbol.asyncDispose]: () => server.close(),
  };
}
