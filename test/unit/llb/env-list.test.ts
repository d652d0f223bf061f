import { describe, expect, it } from "vitest";
import { EnvList } from "../../../src/llb/env-list.js";

const textsOf = (list: EnvList): string[] => list.members().map(({ key, value }) => `${key}=${value}`);

/** The same list as a plain map that is changed as Go's client changes its list. */
function expectedTexts(changes: readonly (readonly [key: string, value: string | undefined])[]): string[] {
  const map = new Map<string, string>();
  for (const [key, value] of changes) {
    map.delete(key);
    if (value !== undefined) map.set(key, value);
  }
  return [...map].map(([key, value]) => `${key}=${value}`);
}

describe("the list of environment variables", () => {
  it("moves a variable that is set again to the end and forgets one that is removed", () => {
    const list = EnvList.empty.set("A", "1").set("B", "2").set("A", "3").delete("B").set("C", "");
    expect(textsOf(list)).toEqual(["A=3", "C="]);
    expect(list.get("A")).toBe("3");
    expect(list.get("B")).toBeUndefined();
    expect(list.get("C")).toBe("");
    expect(list.entries()).toEqual([
      ["A", "3"],
      ["C", ""],
    ]);
  });

  for (const [name, variables, readEvery] of [
    ["read at every step", 20, 1],
    ["read now and then", 20, 7],
    ["read rarely", 20, 97],
    ["longer than what is kept", 700, 5],
  ] as const) {
    it(`is right at every point of a long chain, in any order of reading: ${name}`, () => {
      const changes: [string, string | undefined][] = [];
      const lists: EnvList[] = [];
      let list = EnvList.empty;
      for (let index = 0; index < 1_500; index += 1) {
        const key = `K${(index * 13) % variables}`;
        const value = index % 31 === 30 ? undefined : String(index);
        changes.push([key, value]);
        list = value === undefined ? list.delete(key) : list.set(key, value);
        lists.push(list);
        if (index % readEvery === 0) expect(textsOf(list).join("\n")).toBe(expectedTexts(changes).join("\n"));
      }
      for (let index = 0; index < lists.length; index += 1) {
        const at = (index * 677) % lists.length;
        const expected = expectedTexts(changes.slice(0, at + 1));
        expect(textsOf(lists[at] as EnvList).join("\n")).toBe(expected.join("\n"));
      }
    });
  }

  it("gives every one of many branches its own", () => {
    let trunk = EnvList.empty;
    for (let index = 0; index < 1_000; index += 1) trunk = trunk.set(`K${index % 20}`, String(index));
    const branches = Array.from({ length: 200 }, (_, index) => trunk.set("BRANCH", String(index)));
    const common = textsOf(trunk);
    for (const [index, branch] of branches.entries()) {
      expect(textsOf(branch)).toEqual([...common, `BRANCH=${index}`]);
    }
    expect(textsOf(trunk)).toEqual(common);
  });
});
