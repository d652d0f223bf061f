import type { StepInput, StepInputKind } from "../model/step-input.js";
import { sha256 } from "../oci/digest.js";
import type { AppliedStep, Chain } from "./define-step.js";
import { Secret } from "./secret.js";

/** Longer texts are told by their digest. */
const longestText = 4096;
const longestList = 1000;
/** Nothing that steps take nests deeper; what is below it counts in the digests alone. */
const deepest = 12;

/** What {@link argumentInputs} goes by. */
export interface ArgumentOptions {
  /** A text as it may be shown. */
  readonly mask: (text: string) => string;
  /** A local path, alike on all systems. */
  readonly path: (text: string) => string;
  /** Whether an argument is told as another input. `value` is that of a text. */
  readonly toldElsewhere: (name: string, value: string | undefined) => boolean;
  /** Inputs of a chain that the step uses; `name` is that of its argument. */
  readonly nested: (chain: Chain, name: string) => readonly StepInput[];
}

/** The arguments of a step's call as inputs: records by dotted names, lists with their items. */
export function argumentInputs(step: AppliedStep, options: ArgumentOptions): readonly StepInput[] {
  const found: StepInput[] = [];
  const kind: StepInputKind = step.id === "env" ? "env" : "argument";
  const add = (name: string, text: string): void => {
    found.push({ kind: "argument", name, value: shown(text, options.mask) });
  };
  const visit = (value: unknown, name: string, depth: number): void => {
    if (value === undefined || value === null || value === false || depth > deepest) return;
    if (typeof value === "string") {
      const text = options.path(value);
      if (text !== "" && !options.toldElsewhere(name, value)) add(name, text);
    } else if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") {
      add(name, String(value));
    } else if (typeof value !== "object") return;
    else if (Secret.isSecret(value)) found.push(secretInput(name, value));
    else if (value instanceof Uint8Array) add(name, sha256(value));
    else if (value instanceof Date) add(name, value.toISOString());
    else if (isChain(value)) found.push(...options.nested(value, name));
    else if (isPairs(value)) found.push(...pairInputs(value, { name, kind, mask: options.mask }));
    else if (Array.isArray(value) || value instanceof Set) visitList([...value], name, depth);
    else {
      const entries: readonly (readonly [unknown, unknown])[] =
        value instanceof Map ? [...value] : Object.entries(value);
      for (const [key, item] of entries) visit(item, name === "" ? String(key) : `${name}.${key}`, depth + 1);
    }
  };
  const visitList = (list: readonly unknown[], name: string, depth: number): void => {
    if (list.length === 0) return;
    if (list.every((item) => typeof item === "string")) {
      if (options.toldElsewhere(name, undefined)) return;
      found.push(
        listInput(
          "argument",
          name,
          list.map((item) => shown(options.path(item), options.mask)),
        ),
      );
    } else for (const [index, item] of list.entries()) visit(item, `${name}.${index}`, depth + 1);
  };
  const { args } = step;
  const isRecord =
    typeof args === "object" && args !== null && !Array.isArray(args) && !Secret.isSecret(args);
  if (!isRecord || args instanceof Uint8Array || args instanceof Map || args instanceof Set) {
    visit(args, step.id, 0);
  } else {
    for (const [key, value] of Object.entries(args)) {
      if (!isTitle(step, key, value)) visit(value, key, 1);
    }
  }
  return found;
}

/** Variables of a step's commands as inputs. */
export function envInputs(
  pairs: readonly (readonly [string, string])[],
  mask: (text: string) => string,
): readonly StepInput[] {
  return pairInputs(pairs, { name: "", kind: "env", mask });
}

/** A list as an input. */
export function listInput(kind: StepInputKind, name: string, items: readonly string[]): StepInput {
  const text = items.join("\n");
  const value = text.length > longestText ? sha256(text) : text;
  return items.length > longestList ? { kind, name, value } : { kind, name, value, items };
}

/** A secret as an input: what may be said of it, and its version where that counts. */
export function secretInput(name: string, secret: Secret, version?: string): StepInput {
  const text = secret.toString();
  return { kind: "secret", name, value: version === undefined ? text : `${text} ${sha256(version)}` };
}

/** A step's arguments without what only says what it is called, as data whose JSON is alike for alike arguments. */
export function canonicalArgs(step: AppliedStep, path: (text: string) => string): unknown {
  const { args } = step;
  if (typeof args !== "object" || args === null || Array.isArray(args)) return canonical(args, path, 0);
  const kept = Object.entries(args).filter(([key, value]) => !isTitle(step, key, value));
  return canonical(
    Object.getPrototypeOf(args) === Object.prototype ? Object.fromEntries(kept) : args,
    path,
    0,
  );
}

/** A step's common options, of what makes a difference to its result. */
export function canonicalOptions({ options }: AppliedStep, path: (text: string) => string): unknown {
  if (options === undefined) return null;
  const { env, secrets, gpu, caBundle } = options;
  return canonical({ env, secrets, gpu, caBundle }, path, 0);
}

/** The common options, which have inputs of their own, and a title that a step keeps beside them. */
function isTitle(step: AppliedStep, key: string, value: unknown): boolean {
  if (step.options !== undefined && value === step.options) return true;
  return step.id === "copyFrom" && key === "name";
}

function canonical(value: unknown, path: (text: string) => string, depth: number): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return path(value);
  if (typeof value === "number" || typeof value === "bigint") return [typeof value, String(value)];
  if (typeof value !== "object" || depth > 64) return { [typeof value]: true };
  if (Secret.isSecret(value)) return { secret: path(value.toString()) };
  if (value instanceof Uint8Array) return { bytes: sha256(value) };
  if (value instanceof Date) return { date: value.toISOString() };
  if (Array.isArray(value)) return value.map((item) => canonical(item, path, depth + 1));
  if (value instanceof Set) return { set: [...value].map((item) => canonical(item, path, depth + 1)) };
  if (isChain(value)) {
    return value.steps.map((step) => [
      step.id,
      step.version,
      canonicalArgs(step, path),
      canonicalOptions(step, path),
    ]);
  }
  const entries: readonly (readonly [unknown, unknown])[] =
    value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [String(key), canonical(item, path, depth + 1)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Names and values in the order in which they were written, which is an input too where there are several. */
function pairInputs(
  pairs: readonly (readonly [string, string])[],
  {
    name,
    kind,
    mask,
  }: { readonly name: string; readonly kind: StepInputKind; readonly mask: (text: string) => string },
): readonly StepInput[] {
  const of = (key: string): string => (kind === "env" || name === "" ? key : `${name}.${key}`);
  const inputs = pairs.map(([key, value]): StepInput => ({ kind, name: of(key), value: shown(value, mask) }));
  if (pairs.length < 2) return inputs;
  const order = listInput(
    "argument",
    `order of ${kind === "env" ? "env" : name}`,
    pairs.map(([key]) => key),
  );
  return [...inputs, order];
}

/** A text as it may be shown, still another one for each text: what was masked or is too long is told by a digest. */
function shown(text: string, mask: (text: string) => string): string {
  if (text.length > longestText) return sha256(text);
  const masked = mask(text);
  return masked === text ? text : `${masked} [${sha256(text).slice("sha256:".length, "sha256:".length + 8)}]`;
}

function isPairs(value: object): value is readonly (readonly [string, string])[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every(
      (item) => Array.isArray(item) && item.length === 2 && item.every((part) => typeof part === "string"),
    )
  );
}

function isChain(value: object): value is Chain {
  return "steps" in value && Array.isArray(value.steps);
}
