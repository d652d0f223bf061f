import type { Cause } from "../../model/cause.js";
import type { StepInput, StepInputKind } from "../../model/step-input.js";
import type { TreeDiff } from "../../model/tree-diff.js";
import { listed, shortDigest, shortText, textChange } from "./describe-change.js";
import { filesCause } from "./file-changes.js";
import { itemChanges, lineChanges, packageChanges, sequenceChanges } from "./list-changes.js";

/** How what lies behind two digests differs, where somebody knows. */
export interface ContentDiffs {
  /** How a tree differs; its inputs' `stored` name the manifests. Default: nobody knows. */
  readonly treeDiff?:
    | ((before: StepInput, after: StepInput) => TreeDiff | undefined | Promise<TreeDiff | undefined>)
    | undefined;
  /** The text of a small file by its digest, with what looks like a secret masked. Default: nobody has it. */
  readonly fileText?: ((digest: string) => string | undefined | Promise<string | undefined>) | undefined;
}

/** Files with more changed lines than this are only named. */
const mostLines = 12;

/**
 * What changed in the inputs of a step, the most telling first; the version of this package is none of it. Empty if
 * nothing did.
 */
export async function inputChanges(
  before: readonly StepInput[],
  after: readonly StepInput[],
  diffs: ContentDiffs,
): Promise<readonly Cause[]> {
  const all = pairs(before, after);
  const chains = all.flatMap(({ old, now }) =>
    old?.items !== undefined && now?.items !== undefined && old.items.join() !== now.items.join()
      ? [`${now.name}.`]
      : [],
  );
  // Of a chain that has other steps now, the steps say enough.
  const of = (kind: StepInputKind): readonly Pair[] =>
    all.filter(
      ({ old, now }) =>
        (now ?? old)?.kind === kind &&
        old?.value !== now?.value &&
        !chains.some((prefix) => (now ?? old)?.name.startsWith(prefix)),
    );
  const args = of("argument");
  const words = new Set(
    args.flatMap(({ old, now }) => [old, now].flatMap((input) => input?.items ?? input?.value ?? [])),
  );
  const files = of("file").filter(({ old, now }) =>
    // A path that was given up or is new is an argument that changed.
    old === undefined || now === undefined ? !words.has((now ?? old)?.name ?? "") : true,
  );
  const trees = await Promise.all(joined(of("tree")).map((pair) => treeChange(pair, diffs)));
  const others = [
    ...args.flatMap(argumentChange),
    ...of("env").map(envChange),
    ...joined(of("base")).flatMap((pair) => baseChange(pair, after)),
    ...joined(of("secret")).map(secretChange),
    ...of("device").map((pair) => argumentCause(pair, changeText(labelOf(pair), pair))),
    ...(files.length === 0 ? [] : [await fileChange(files, diffs)]),
  ];
  return [
    ...others,
    // A tree whose paths are all the same is seen otherwise now, which an argument says.
    ...trees.filter((tree) => others.length === 0 || !isAlike(tree)),
    ...of("listing").map(listingChange),
    ...of("setting").flatMap(settingChange),
  ];
}

function isAlike(cause: Cause): boolean {
  return cause.kind === "files" && cause.changed === 0 && cause.total > 0;
}

/** That another version of this package made a step, if it did. */
export function packageChange(before: readonly StepInput[], after: readonly StepInput[]): Cause | undefined {
  const [old, now] = [before, after].map((inputs) => inputs.find(isPackage)?.value);
  if (old === undefined || now === undefined || old === now) return undefined;
  return { kind: "setting", name: "package", text: `kiln changed: ${old} → ${now}` };
}

/** One cause of several: the first, with what the others say too. */
export function combined(causes: readonly Cause[]): Cause | undefined {
  const [first, ...others] = causes;
  if (first === undefined || others.length === 0) return first;
  const shown = causes.slice(0, 3).map(({ text }) => text);
  const more = causes.length - shown.length;
  const text = `${shown.join("; ")}${more > 0 ? `; … and ${more} more change${more === 1 ? "" : "s"}` : ""}`;
  if (first.kind !== "arguments") return { ...first, text };
  return {
    ...first,
    text,
    names: causes.flatMap((cause) => (cause.kind === "arguments" ? cause.names : [])),
  };
}

/** An input before and now; one of them is there. */
interface Pair {
  readonly old: StepInput | undefined;
  readonly now: StepInput | undefined;
}

function pairs(before: readonly StepInput[], after: readonly StepInput[]): readonly Pair[] {
  const keyOf = ({ kind, name }: StepInput): string => `${kind} ${name}`;
  const old = new Map(before.map((input) => [keyOf(input), input]));
  const kept = after.map((now): Pair => {
    const found = old.get(keyOf(now));
    old.delete(keyOf(now));
    return { old: found, now };
  });
  return [...kept, ...[...old.values()].map((input): Pair => ({ old: input, now: undefined }))];
}

/** With what is gone and what is new put together in their order. */
function joined(found: readonly Pair[]): readonly Pair[] {
  const gone = found.filter(({ now }) => now === undefined);
  const result = found.flatMap((pair): readonly Pair[] => {
    if (pair.now === undefined) return [];
    return [pair.old === undefined ? { old: gone.shift()?.old, now: pair.now } : pair];
  });
  return [...result, ...gone];
}

function labelOf({ old, now }: Pair): string {
  return (now ?? old)?.name ?? "";
}

/** A name in a chain within the step: where, and what. */
function split(name: string): readonly [where: string, what: string] {
  const at = name.lastIndexOf(": ");
  return at < 0 ? ["", name] : [name.slice(0, at + 2), name.slice(at + 2)];
}

function argumentCause(pair: Pair, text: string): Cause {
  return { kind: "arguments", text, names: [labelOf(pair)] };
}

function changeText(label: string, { old, now }: Pair): string {
  if (old === undefined) return `${label} added: ${shortText(now?.value ?? "")}`;
  if (now === undefined) return `${label} removed`;
  return `${label} changed: ${textChange(old.value, now.value)}`;
}

function argumentChange(pair: Pair): readonly Cause[] {
  const { old, now } = pair;
  const [where, what] = split(labelOf(pair));
  const cause = (text: string): readonly Cause[] => [argumentCause(pair, `${where}${text}`)];
  const ordered = /^order of (.*)$/.exec(what)?.[1];
  if (ordered !== undefined) {
    const same = itemChanges(old?.items ?? [], now?.items ?? []).length === 0;
    return same ? cause(`order of ${ordered} changed`) : [];
  }
  const key = what.replace(/^.*\./, "").replace(/ \(\d+\)$/, "");
  const [before, after] = [old?.items ?? [], now?.items ?? []];
  if (before.length === 0 && after.length === 0) return cause(changeText(what, pair));
  // The same steps of another chain, whose inputs say more.
  if (before.length > 0 && before.join("\n") === after.join("\n")) return [];
  const word = words[key];
  if (word !== undefined) {
    const changes = sequenceChanges(before, after);
    if (changes.length === 0) return cause(`order of ${word}s changed`);
    return cause(listed(changes.map((change) => `${word} ${change}`)));
  }
  const label = key === "ignore" ? "ignore rule" : what;
  const changes =
    key === "packages" || key === "repos" ? packageChanges(before, after) : itemChanges(before, after);
  return cause(changes.length === 0 ? `order of ${what} changed` : `${label} changed: ${listed(changes)}`);
}

/** What an item of these lists is called. */
const words: Readonly<Record<string, string>> = { commands: "command", lines: "line", setup: "line" };

function envChange(pair: Pair): Cause {
  const [where, name] = split(labelOf(pair));
  return {
    kind: "arguments",
    text: `${where}${changeText(`env ${name}`, pair)}`,
    names: [`${where}env.${name}`],
  };
}

function baseChange(pair: Pair, after: readonly StepInput[]): readonly Cause[] {
  const { old, now } = pair;
  const [where, name] = split(labelOf(pair));
  const several = after.filter(({ kind }) => kind === "base").length > 1;
  if (old !== undefined && now !== undefined && old.name === now.name) {
    // One that is not resolved counts by its name.
    if (old.value === "" || now.value === "") return [];
    const what = several ? name : "base tag";
    const text = `${where}${what} moved: ${shortDigest(old.value)} → ${shortDigest(now.value)}`;
    return [{ kind: "base-moved", text, from: old.value, to: now.value }];
  }
  const cause = (text: string): readonly Cause[] => [{ kind: "base-changed", text: `${where}${text}` }];
  if (old === undefined) return cause(`base added: ${name}`);
  if (now === undefined) return cause(`base removed: ${name}`);
  return cause(`base changed: ${split(old.name)[1]} → ${name}`);
}

function secretChange(pair: Pair): Cause {
  const { old, now } = pair;
  const [where, name] = split(labelOf(pair));
  const cause = (text: string): Cause => ({ kind: "secret", text: `${where}${text}` });
  if (old === undefined) return cause(`secret added: ${name}`);
  if (now === undefined) return cause(`secret removed: ${name}`);
  const bare = (input: StepInput): string => input.value.replace(/ sha256:[0-9a-f]{64}$/, "");
  if (bare(old) !== bare(now)) return cause(`secret changed: ${bare(old)} → ${bare(now)}`);
  const versioned = [old, now].map((input) => input.value !== bare(input));
  if (versioned[0] === versioned[1]) return cause(`secret ${name} has another version`);
  return cause(
    `secret ${name} ${versioned[1] === true ? "counts by its version now" : "no longer counts by its version"}`,
  );
}

async function fileChange(found: readonly Pair[], { fileText }: ContentDiffs): Promise<Cause> {
  const texts = await Promise.all(
    found.map(async (pair) => {
      const { old, now } = pair;
      const [where, name] = split(labelOf(pair));
      if (old === undefined) return `${where}${name} is there now`;
      if (now === undefined) return `${where}${name} is gone`;
      const [before, after] = await Promise.all([fileText?.(old.value), fileText?.(now.value)]);
      const changes = before === undefined || after === undefined ? [] : lineChanges(before, after);
      if (changes.length === 0) return `${where}${name} changed`;
      if (changes.length > mostLines) return `${where}${name} changed: ${changes.length} lines`;
      return `${where}${name} changed: ${listed(changes)}`;
    }),
  );
  const paths = found.map((pair) => labelOf(pair)).slice(0, 3);
  return { kind: "files", text: listed(texts), changed: found.length, total: found.length, paths };
}

async function treeChange(pair: Pair, { treeDiff }: ContentDiffs): Promise<Cause> {
  const { old, now } = pair;
  const [where, name] = split(labelOf(pair));
  const at = (text: string): string => `${where}${text}`;
  if (old === undefined || now === undefined) {
    const text = at(`${name} is ${old === undefined ? "new" : "gone"}`);
    return { kind: "files", text, changed: 0, total: 0, paths: [] };
  }
  if (old.name !== now.name) {
    return argumentCause(pair, at(`path changed: ${split(old.name)[1]} → ${name}`));
  }
  const cause = filesCause(name, await treeDiff?.(old, now));
  return { ...cause, text: at(cause.text) };
}

function listingChange(pair: Pair): Cause {
  const { old, now } = pair;
  const [where] = split(labelOf(pair));
  const [before, after] = [old?.items ?? [], now?.items ?? []];
  const changes = itemChanges(before, after);
  const paths = changes.slice(0, 3).map((change) => change.slice(2));
  const text = `${where}files found changed: ${listed(changes)}`;
  return {
    kind: "files",
    text,
    changed: changes.length,
    total: Math.max(before.length, after.length),
    paths,
  };
}

const settings: Readonly<Record<string, string>> = {
  builderVersion: "builder version",
  sourceDateEpoch: "SOURCE_DATE_EPOCH",
};

function settingChange(pair: Pair): readonly Cause[] {
  const name = labelOf(pair);
  if ([pair.old, pair.now].some((input) => input !== undefined && isPackage(input)) || isWay(name)) return [];
  return [{ kind: "setting", name, text: changeText(settings[name] ?? name, pair) }];
}

function isPackage({ kind, name }: StepInput): boolean {
  return kind === "setting" && name === "package";
}

/** A setting that says how a tree comes to the daemon, which is the planner's choice. */
export function isWay(name: string): boolean {
  return name.startsWith("way of ");
}
