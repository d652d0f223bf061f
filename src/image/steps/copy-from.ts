import { checkOptions } from "../../internal/check-options.js";
import { argumentError, checkRemotePath, describe } from "../check-args.js";
import { type Chain, defineStep, type Step } from "../define-step.js";

/** Input of the `copyFrom` step. */
export interface CopyFromInput {
  readonly image: Chain;
  readonly from: string;
  /** Default: the same path. */
  readonly to: string | undefined;
  readonly options: CopyFromOptions | undefined;
}

/** Options of `copyFrom`. */
export interface CopyFromOptions {
  /** What progress and errors call the step. */
  readonly name?: string | undefined;
}

/**
 * Copies files of another image, which is built for it as far as they need: a Dockerfile's `COPY --from`.
 *
 * Owners, modes and times stay. A directory brings its contents.
 */
export const copyFrom: Step<CopyFromInput> = defineStep({
  id: "copyFrom",
  version: 1,
  validate({ image, from, to, options }: CopyFromInput) {
    checkOptions("copyFrom", options, ["name"]);
    if (!isChain(image)) {
      throw argumentError("copyFrom", `needs an Image to copy from, got ${describe(image)}`, {
        hint: 'Write copyFrom(Image.fromRegistry("nginx"), "/etc/nginx").',
      });
    }
    const name = options?.name;
    if (name !== undefined && (typeof name !== "string" || name.trim() === "" || /[\n\0]/.test(name))) {
      throw argumentError("copyFrom", `name must be one line of text, got ${describe(name)}`);
    }
    const source = checkRemotePath("copyFrom", from);
    return { image, from: source, to: to === undefined ? source : checkRemotePath("copyFrom", to), name };
  },
  title: ({ from, to, name }) => name ?? `copyFrom ${from}${from === to ? "" : ` → ${to}`}`,
  needs: ({ image }) => ({ images: { source: image } }),
  lower: (chain, { from, to }, context) => context.copyImage(chain, { image: "source", from, to }),
  traits: ({ to }) => ({ layers: 1, writes: [to] }),
});

function isChain(value: unknown): value is Chain {
  return typeof value === "object" && value !== null && "steps" in value && Array.isArray(value.steps);
}
