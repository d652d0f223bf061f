import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { getReady } from "../../../src/engine/get-ready.js";
import type { Gathered } from "../../../src/engine/inputs/gather.js";
import { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import type { Client } from "../../../src/solver/client.js";

/** How often a chain's daemon is connected to and asked for what it is. */
async function asked(image: Image, fails = false): Promise<readonly string[]> {
  const calls: string[] = [];
  const client = { facts: async () => void calls.push("facts") };
  const connect = async (): Promise<Client> => {
    calls.push("connect");
    if (fails) throw new Error("there is no daemon");
    return client as unknown as Client;
  };
  getReady(image, { needs: needsOf(image) } as unknown as Gathered, { connect });
  for (let turn = 0; turn < 5; turn += 1) await setImmediate();
  return calls;
}

const base = Image.fromRegistry("debian:13").addLocalDir("src", "/app", { copy: true });

test("a daemon that will run commands on the changed tree is asked what it is", async () => {
  expect(await asked(base.runCommands("make").env({ A: "1" }))).toEqual(["connect", "facts"]);
});

test("a daemon that may not be needed is left alone", async () => {
  expect(await asked(base)).toEqual([]);
  expect(await asked(base.env({ A: "1" }).workdir("/app"))).toEqual([]);
  const before = Image.fromRegistry("debian:13")
    .runCommands("make")
    .addLocalDir("src", "/app", { copy: true });
  expect(await asked(before)).toEqual([]);
});

test("what goes wrong is left to whoever needs it", async () => {
  expect(await asked(base.runCommands("make"), true)).toEqual(["connect"]);
});
