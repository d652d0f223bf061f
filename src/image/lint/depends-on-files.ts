import { posix } from "node:path";
import type { LintedStep } from "./rule.js";

/** Whether a step uses files that an earlier one put there: `free` = certainly not, `maybe` = it does not look so. */
export type Dependence = "free" | "maybe" | "uses";

/** What is in effect for a step. */
export interface Surroundings {
  /** Values of variables that the chain has set. */
  readonly env: readonly string[];
  /** Working directory; `undefined` = the base's, which is not known. */
  readonly cwd: string | undefined;
}

/** Built-in steps that change only the config. */
const configSteps: ReadonlySet<string> = new Set([
  ...["env", "workdir", "user", "label", "entrypoint", "cmd", "shell", "expose", "healthcheck"],
]);

/** Where installers and the system look for their settings, programs and libraries. */
const systemDirs = [
  ...["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys"],
  ...["/usr", "/var/lib/apt", "/var/lib/dpkg", "/var/cache"],
];

/** What the steps before a place set. */
export function surroundingsBefore(steps: readonly LintedStep[], place: number): Surroundings {
  const env: string[] = [];
  let cwd: string | undefined;
  for (const { step, traits } of steps.slice(0, place)) {
    env.push(...Object.values(traits.env ?? {}));
    if (step.id !== "workdir" || typeof step.args !== "string") continue;
    if (step.args.startsWith("/")) cwd = posix.normalize(step.args);
    else if (cwd !== undefined) cwd = posix.join(cwd, step.args);
  }
  return { env, cwd };
}

/** Whether a step uses the files that another one, earlier in the chain, writes. */
export function dependence(step: LintedStep, files: LintedStep, around: Surroundings): Dependence {
  const targets = files.traits.writes;
  if (targets === undefined) return configSteps.has(step.step.id) ? "free" : "maybe";
  const touches = (path: string): boolean => targets.some((target) => overlap(target, path));
  const { traits, commands, step: applied } = step;
  if (configSteps.has(applied.id)) return "free";
  if (commands.length > 0) {
    const texts = commands.map(({ text }) => text);
    const paths = texts.flatMap((text) => text.match(/\/[\w.@+-]+(?:\/[\w.@+-]+)*/g) ?? []);
    const cwd = around.cwd ?? "/";
    const isThere = cwd !== "/" && touches(cwd);
    const looksAround = texts.some((text) => /(?:^|[\s=:"'])\.{1,2}(?:[/\s;&|"']|$)/.test(text));
    const named = [...around.env, ...(applied.options?.env ?? []).map(([, value]) => value)];
    const uses = isThere || (looksAround && touches(cwd)) || paths.some(touches) || mentions(named, targets);
    return uses || targets.some(isSystemPath) ? "uses" : "maybe";
  }
  if (traits.packages !== undefined) {
    const own = (applied.options?.env ?? []).map(([, value]) => value);
    if (targets.some(isSystemPath) || mentions([...around.env, ...own, ...texts(applied.args, 0)], targets))
      return "uses";
    // npm looks for a project's settings in its working directory.
    if (traits.packages.some(({ manager }) => manager === "npm")) {
      if (around.cwd === undefined) return "maybe";
      if (touches(around.cwd)) return "uses";
    }
    return "free";
  }
  if (traits.writes !== undefined && applied.options === undefined) {
    return traits.writes.some(touches) ? "uses" : "free";
  }
  return "maybe";
}

function mentions(values: readonly string[], targets: readonly string[]): boolean {
  return targets.some((target) => {
    const path = target.replace(/\/+$/, "");
    return values.some((value) => {
      for (let at = value.indexOf(path); at >= 0; at = value.indexOf(path, at + 1)) {
        if (!/[\w.-]/.test(value[at + path.length] ?? "")) return true;
      }
      return false;
    });
  });
}

function isSystemPath(path: string): boolean {
  const clean = path.replace(/\/+$/, "");
  if (clean === "" || clean === "/root" || /^\/root\/\./.test(clean)) return true;
  if (/^\/usr\/(?:local\/)?src\//.test(`${clean}/`)) return false;
  return systemDirs.some((dir) => overlap(dir, clean));
}

/** Whether one path is the other or lies below it. */
function overlap(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => `${path.replace(/\/+$/, "")}/`) as [string, string];
  return first.startsWith(second) || second.startsWith(first);
}

function texts(value: unknown, depth: number): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || depth > 8) return [];
  return Object.values(value).flatMap((item) => texts(item, depth + 1));
}
