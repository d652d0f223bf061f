import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { LaterWork } from "../../../src/engine/later-work.js";

test("work is done when it is asked for, once, one after another", async () => {
  const later = new LaterWork();
  const done: string[] = [];
  const slow = (name: string) => async (): Promise<void> => {
    done.push(`${name} begins`);
    await delay(5);
    done.push(`${name} ends`);
  };
  later.add(slow("one"));
  later.add(slow("two"));
  expect(done).toEqual([]);
  const running = later.run();
  await later.run();
  const both = ["one begins", "one ends", "two begins", "two ends"];
  expect(done).toEqual(both);
  await running;
  later.add(slow("three"));
  await later.run();
  await later.run();
  expect(done).toEqual([...both, "three begins", "three ends"]);
});
