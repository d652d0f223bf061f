import { describe, expect, test } from "vitest";
import { createDeferred } from "../../../src/internal/deferred.js";
import { SharedWork } from "../../../src/internal/shared-work.js";

function works() {
  const shared = new SharedWork<number>();
  const begun: { readonly signal: AbortSignal; readonly end: ReturnType<typeof createDeferred<number>> }[] =
    [];
  const join = (signal?: AbortSignal, name = "name"): Promise<number> =>
    shared.join(
      name,
      (own) => {
        const end = createDeferred<number>();
        begun.push({ signal: own, end });
        own.addEventListener("abort", () => end.reject(own.reason));
        return end.promise;
      },
      signal,
    );
  return { begun, join };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("shared work", () => {
  test("is done once for all who ask while it is under way, and anew for who comes later", async () => {
    const { begun, join } = works();
    const first = join();
    await turn();
    const second = join();
    begun[0]?.end.resolve(1);
    expect(await Promise.all([first, second])).toEqual([1, 1]);
    const third = join();
    begun[1]?.end.resolve(2);
    expect(await third).toBe(2);
    expect(begun).toHaveLength(2);
  });

  test("is told apart by name", async () => {
    const { begun, join } = works();
    const both = [join(undefined, "a"), join(undefined, "b")];
    begun[1]?.end.resolve(2);
    begun[0]?.end.resolve(1);
    expect(await Promise.all(both)).toEqual([1, 2]);
  });

  test("that fails is begun again by one of those who had joined", async () => {
    const { begun, join } = works();
    const three = [join(), join(), join()];
    begun[0]?.end.reject(new Error("mine"));
    await expect(three[0]).rejects.toThrow("mine");
    await turn();
    expect(begun).toHaveLength(2);
    begun[1]?.end.resolve(2);
    expect(await Promise.all(three.slice(1))).toEqual([2, 2]);
  });

  test("goes on until nobody wants it, and is then aborted", async () => {
    const { begun, join } = works();
    const stops = [new AbortController(), new AbortController()];
    const two = stops.map(({ signal }) => join(signal));
    stops[0]?.abort(new Error("first"));
    await expect(two[0]).rejects.toThrow("first");
    expect(begun[0]?.signal.aborted).toBe(false);
    stops[1]?.abort(new Error("second"));
    await expect(two[1]).rejects.toThrow("second");
    expect(begun[0]?.signal.aborted).toBe(true);
    const after = join();
    begun[1]?.end.resolve(3);
    expect(await after).toBe(3);
  });

  test("is not begun for who has aborted already", async () => {
    const { begun, join } = works();
    await expect(join(AbortSignal.abort(new Error("too late")))).rejects.toThrow("too late");
    expect(begun).toEqual([]);
  });
});
