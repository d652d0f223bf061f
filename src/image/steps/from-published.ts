import { captureCallSite } from "../../internal/call-site.js";
import { parseImageName } from "../../oci/image-name.js";
import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";

/** Starts from an image of the engine's image store by its name; nothing is built for it. */
export const fromName: Step<string> = defineStep({
  id: "fromName",
  version: 1,
  validate: (name: string) => parseImageName(name, { location: captureCallSite() }).text,
  title: (name) => `fromName ${name}`,
  needs: (name) => ({ bases: { base: { kind: "stored", name } } }),
  lower: (_chain, _name, context) => context.base("base"),
});

/** Starts from an image of the engine's image store, by the digest of its manifest or index. */
export const fromId: Step<string> = defineStep({
  id: "fromId",
  version: 1,
  validate(id: string) {
    if (typeof id === "string" && /^sha256:[0-9a-f]{64}$/.test(id)) return id;
    throw argumentError("fromId", `needs the digest of an image, got ${describe(id)}`, {
      code: "ERR_KILN_INVALID_DIGEST",
      hint: "Write Image.fromId(result.digest): sha256: and 64 hexadecimal digits. Names are for Image.fromName.",
    });
  },
  title: (id) => `fromId ${id.slice(0, "sha256:".length + 12)}`,
  needs: (id) => ({ bases: { base: { kind: "stored", name: id } } }),
  lower: (_chain, _id, context) => context.base("base"),
});
