import type { Definition } from "../llb/definition.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { BuildFunction, SolveRequestOptions } from "./solve.js";

/**
 * How a definition is solved so that its image gets its config.
 *
 * Exporters take a config as an attribute, but that of Docker's classic store ignores it and reads the result's metadata
 * alone, which only a build function can return.
 */
export function solvedWithConfig(
  facts: DaemonFacts,
  what: {
    readonly definition?: Definition | undefined;
    readonly build?: BuildFunction | undefined;
    readonly config: ImageConfig | undefined;
  },
): Pick<SolveRequestOptions, "definition" | "build" | "config"> {
  const { definition, build, config } = what;
  if (facts.store !== "classic" || config === undefined || build !== undefined || definition === undefined) {
    return what;
  }
  return {
    config,
    build: async (gateway) => {
      const { ref } = await gateway.solve({ definition });
      return { ref, metadata: new Map([["containerimage.config", JSON.stringify(config)]]) };
    },
  };
}
