import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";

/** Input of the `fromRootfs` step. */
export interface FromRootfsInput {
  readonly path: string;
}

/** Starts from a tar of a root filesystem on this machine, plain or compressed: one layer, an empty config. */
export const fromRootfs: Step<FromRootfsInput> = defineStep({
  id: "fromRootfs",
  version: 1,
  validate({ path }: FromRootfsInput) {
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw argumentError("fromRootfs", `needs the path of a tar, got ${describe(path)}`, {
        hint: 'Write Image.fromRootfs("./rootfs.tar.gz").',
      });
    }
    return { path };
  },
  title: ({ path }) => `fromRootfs ${path}`,
  needs: ({ path }) => ({ bases: { base: { kind: "rootfs", path } } }),
  lower: (_chain, _args, context) => context.base("base"),
  traits: () => ({ changes: "local" }),
});
