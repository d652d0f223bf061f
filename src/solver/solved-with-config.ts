import type { DaemonFacts } from "../model/daemon.js";
import type { Solved } from "./solve-request.js";

/**
 * How a definition is solved so that its image gets its config.
 *
 * Exporters take a config as an attribute, but that of Docker's classic store ignores it and reads the result's metadata
 * alone, which only a build function can return.
 */
export function solvedWithConfig(facts: DaemonFacts, what: Solved): Solved {
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
