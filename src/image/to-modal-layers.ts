import { KilnError } from "../errors.js";
import { builderVersion } from "./builder-version.js";
import type { Chain } from "./define-step.js";
import type { ModalContext, ModalLayer } from "./modal-layer.js";

/** Reads a local file of the chain's for a rendering of it; `undefined` = there is none. */
export type ReadFile = (path: string) => string | Uint8Array | undefined;

/** Options of {@link toModalLayers}. */
export interface ToModalLayersOptions {
  /** For steps whose commands depend on what is in a file: `pipInstallFromPyproject`, `uvSync`. */
  readonly readFile?: ReadFile | undefined;
}

/**
 * The commands that Modal's builder 2025.06 runs for a chain, layer by layer, base first.
 *
 * Options that change no command there (`env`, `secrets`, `gpu`, `forceBuild`, `name`, `timeoutMs`, `caBundle`) are left
 * out. Throws `ERR_KILN_UNSUPPORTED` with the name of a step that Modal does not have, and `ERR_KILN_READER_NEEDED` for one
 * that depends on a file where there is no `readFile`.
 */
export function toModalLayers(image: Chain, options: ToModalLayersOptions = {}): readonly ModalLayer[] {
  const builder = builderVersion();
  return image.steps.flatMap((step, index) => {
    if (step.modal === undefined) {
      throw new KilnError(
        "ERR_KILN_UNSUPPORTED",
        `Modal has no step ${step.id} (step ${index + 1}: ${step.title})`,
        {
          hint: "Leave the step out, or take toDockerfile(), which knows all steps.",
          location: step.location,
        },
      );
    }
    const context: ModalContext = {
      builder,
      file(path) {
        if (options.readFile === undefined) {
          throw new KilnError(
            "ERR_KILN_READER_NEEDED",
            `${step.id}: its commands depend on what is in ${path}`,
            {
              hint: "Pass toModalLayers({ readFile }), e.g. (path) => existsSync(path) ? readFileSync(path) : undefined.",
              location: step.location,
            },
          );
        }
        const content = options.readFile(path);
        return content instanceof Uint8Array ? new TextDecoder().decode(content) : content;
      },
    };
    return step.modal(context);
  });
}
