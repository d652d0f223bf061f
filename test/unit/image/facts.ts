import type { Facts } from "../../../src/model/facts.js";
import type { ContainerConfig, ImageConfig } from "../../../src/oci/image-config.js";

/** Digest of the base. */
export const digest = `sha256:${"a".repeat(64)}`;

/** Facts for a chain that starts from a registry base with this config; steps 1 to 3 may have a tree `source`. */
export function facts(config: ContainerConfig = {}, extra: Partial<Facts> = {}): Facts {
  const baseConfig: ImageConfig = {
    architecture: "amd64",
    os: "linux",
    created: "2020-01-01T00:00:00Z",
    config,
    rootfs: { type: "layers", diff_ids: [digest] },
    history: [{ created_by: "base" }],
    "moby.unknown": 1,
  };
  return {
    platform: { os: "linux", architecture: "amd64" },
    bases: new Map([
      [
        "0.base",
        { kind: "registry", ref: `docker.io/library/debian:latest@${digest}`, digest, config: baseConfig },
      ],
    ]),
    trees: new Map(
      [1, 2, 3].map((step) => [`${step}.source`, { name: `tree${step}`, sharedKeyHint: `key${step}` }]),
    ),
    builderVersion: "2026.11",
    secrets: new Map(),
    listings: new Map(),
    frontends: new Map(),
    caBundles: new Map(),
    files: new Map(),
    sourceDateEpoch: undefined,
    localUniqueId: "unique",
    ...extra,
  };
}
