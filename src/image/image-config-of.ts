import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import type { ChainState } from "./chain-state.js";

/** The image config of a chain; `rootfs` and `created` are the exporter's: it knows the layers and their times. */
export function imageConfigOf(chain: ChainState, platform: Platform): ImageConfig {
  const { rootfs: _rootfs, created: _created, ...base } = chain.base ?? { architecture: "", os: "" };
  const config = Object.fromEntries(
    Object.entries(chain.config).filter(([, value]) => value !== undefined && value !== null),
  );
  return {
    ...base,
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config,
    history: chain.history,
  };
}
