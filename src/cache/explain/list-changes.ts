import { commonOrder } from "./align-steps.js";
import { shortText, textChange } from "./describe-change.js";

/**
 * What changed in a list whose items have names, such as packages: `numpy → numpy==2.1`, `+ scipy`, `− pandas`. Empty if
 * only the order did.
 */
export function packageChanges(before: readonly string[], after: readonly string[]): readonly string[] {
  const { added, removed } = difference(before, after);
  const gone = [...removed];
  const changed: string[] = [];
  const fresh: string[] = [];
  for (const item of added) {
    const at = gone.findIndex((other) => packageName(other) === packageName(item));
    if (at < 0) fresh.push(`+ ${shortText(item)}`);
    else changed.push(textChange(gone.splice(at, 1)[0] ?? "", item));
  }
  return [...changed, ...fresh, ...gone.map((item) => `− ${shortText(item)}`)];
}

/** What changed in a list of names: `+ *.log`, `− build`. Empty if only the order did. */
export function itemChanges(before: readonly string[], after: readonly string[]): readonly string[] {
  const { added, removed } = difference(before, after);
  return [...added.map((item) => `+ ${shortText(item)}`), ...removed.map((item) => `− ${shortText(item)}`)];
}

/**
 * What changed in a list of texts, each with what happened to it: `changed: "a" → "b"`, `added: "c"`, `removed: "d"`.
 * Empty if only the order did.
 */
export function sequenceChanges(before: readonly string[], after: readonly string[]): readonly string[] {
  const { added, removed } = difference(before, after);
  if (added.length === 0 && removed.length === 0) return [];
  const changes: string[] = [];
  let [x, y] = [0, 0];
  for (const [nextX, nextY] of [...commonOrder(before, after), [before.length, after.length] as const]) {
    const [gone, fresh] = [before.slice(x, nextX), after.slice(y, nextY)];
    for (let at = 0; at < Math.max(gone.length, fresh.length); at += 1) {
      const [old, now] = [gone[at], fresh[at]];
      if (old === undefined) changes.push(`added: "${shortText(now ?? "")}"`);
      else if (now === undefined) changes.push(`removed: "${shortText(old)}"`);
      else changes.push(`changed: ${textChange(old, now, true)}`);
    }
    [x, y] = [nextX + 1, nextY + 1];
  }
  return changes;
}

/** Lines of a small file that are others now. */
export function lineChanges(before: string, after: string): readonly string[] {
  const lines = (text: string): readonly string[] =>
    text.split(/\r?\n/).flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  return packageChanges(lines(before), lines(after));
}

/** Items of one list beyond those of the other, counted. */
function difference(before: readonly string[], after: readonly string[]) {
  const counts = new Map<string, number>();
  for (const item of before) counts.set(item, (counts.get(item) ?? 0) + 1);
  const added: string[] = [];
  for (const item of after) {
    const count = counts.get(item) ?? 0;
    if (count === 0) added.push(item);
    else counts.set(item, count - 1);
  }
  const removed: string[] = [];
  for (const [item, count] of counts) for (let at = 0; at < count; at += 1) removed.push(item);
  return { added, removed };
}

/** The package of `torch<3`, `git=1:2.39`, `@scope/name@1.0`, `git+https://host/repo@ref`; a text is its own otherwise. */
function packageName(spec: string): string {
  const [address] = /^(?:[a-z]+\+)?[a-z]+:\/\/[^@#]+/.exec(spec) ?? [];
  const [name] = /^(?:@[^@/\s]+\/)?[A-Za-z0-9][\w.+-]*/.exec(spec) ?? [];
  return address ?? name?.toLowerCase().replaceAll("_", "-") ?? spec;
}
