import { KilnError } from "../../../src/errors.js";
import { compile } from "../../../src/image/compile.js";
import type { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import { decodeOp } from "../../../src/llb/decode-op.js";
import type { Needs } from "../../../src/model/needs.js";
import type { ContainerConfig } from "../../../src/oci/image-config.js";
import { facts } from "./facts.js";

/** What calls throw, with the place of the call. */
export function thrown(call: () => unknown): KilnError {
  try {
    call();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Local files by path, as a build finds them for a chain: those that they name in turn, too. */
export function gathered(
  image: Image,
  files: Readonly<Record<string, string | Uint8Array>>,
): {
  readonly needs: Needs;
  readonly found: Map<string, Uint8Array>;
  readonly listings: Map<string, string[]>;
} {
  const found = new Map<string, Uint8Array>();
  const listings = new Map<string, string[]>();
  for (;;) {
    const needs = needsOf(image, { found: { files: found, listings } });
    const before = found.size + listings.size;
    for (const { id, path } of needs.files) {
      const content = files[path.replace(/^\.\//, "")];
      if (content !== undefined) found.set(id, Buffer.from(content));
    }
    for (const { id, path } of needs.listings) {
      const root = path
        .replace(/^\.\/?/, "")
        .replace(/\/?$/, "/")
        .replace(/^\/$/, "");
      const inside = Object.keys(files).filter((name) => name.startsWith(root));
      listings.set(id, inside.map((name) => name.slice(root.length)).sort());
    }
    if (found.size + listings.size === before) return { needs, found, listings };
  }
}

/** What a chain of one base and more steps runs, with what its commands see. */
export function commandsOf(
  image: Image,
  files: Readonly<Record<string, string | Uint8Array>> = {},
  config: ContainerConfig = {},
): {
  readonly scripts: readonly string[];
  readonly shown: readonly string[];
  readonly env: readonly (readonly string[])[];
  readonly caches: readonly string[];
  /** Content of mounted files by the end of their path in their mount. */
  readonly mounted: ReadonlyMap<string, string>;
  readonly imageEnv: readonly string[];
  readonly digests: readonly string[];
} {
  const { found, listings } = gathered(image, files);
  const plan = compile(image, facts(config, { files: found, listings }));
  const ops = (plan.definition?.ops ?? []).map(({ bytes }) => decodeOp(bytes).op);
  const execs = ops.flatMap((op) => (op.case === "exec" ? [op.value] : []));
  const mounted = ops
    .flatMap((op) => (op.case === "file" ? op.value.actions : []))
    .flatMap(({ action }) =>
      action.case === "mkfile"
        ? [[action.value.path, Buffer.from(action.value.data).toString()] as const]
        : [],
    );
  return {
    scripts: execs.map(({ meta }) => meta?.args.at(-1) ?? ""),
    shown: [...plan.commands.values()].map(({ command }) => command),
    env: execs.map(({ meta }) => meta?.env ?? []),
    caches: execs.flatMap(({ mounts }) =>
      mounts.flatMap(({ dest, cacheOpt }) => (cacheOpt === undefined ? [] : [`${dest} ${cacheOpt.ID}`])),
    ),
    mounted: new Map(mounted),
    imageEnv: plan.config.config?.Env ?? [],
    digests: (plan.definition?.ops ?? []).map(({ digest }) => digest),
  };
}

/** The lines of the last layer that Modal's builder makes. */
export function modalLines(image: Image, files: Readonly<Record<string, string>> = {}): readonly string[] {
  const layers = image.toModalLayers({ readFile: (path) => files[path] });
  return layers.at(-1)?.commands.slice(1) ?? [];
}
