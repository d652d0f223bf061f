import { describe, expect, it } from "vitest";
import { edits } from "./edits.js";
import { expectForeseen, Recorder } from "./recorder.js";

describe("an edit", () => {
  it("is one of at least forty that make something run", () => {
    expect(edits.filter(({ runs }) => Object.keys(runs).length > 0).length).toBeGreaterThanOrEqual(40);
    expect(new Set(edits.map(({ name }) => name)).size).toBe(edits.length);
  });

  it.each(edits.map((edit) => [edit.name, edit] as const))(
    "of %s is foreseen and explained",
    async (_name, edit) => {
      const recorder = new Recorder();
      const first = await recorder.build(edit.before);
      expectForeseen(first);
      const second = await recorder.build(edit.after);
      const causes = Object.fromEntries(
        [...second.causes].map(([index, { kind, text }]) => [index, [kind, text]]),
      );
      expect(causes).toEqual(
        Object.fromEntries(
          Object.entries(edit.runs).map(([index, [kind, text]]) => [
            index,
            [kind, typeof text === "string" ? text : expect.stringMatching(text)],
          ]),
        ),
      );
      expectForeseen(second);
      const again = await recorder.build({ ...edit.after, world: { ...edit.after.world, force: false } });
      if (!Object.values(edit.runs).some(([kind]) => kind === "forced"))
        expect(again.causes).toEqual(new Map());
    },
  );
});
