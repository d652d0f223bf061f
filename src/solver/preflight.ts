import { KilnError } from "../errors.js";
import type { Definition } from "../llb/definition.js";
import type { DaemonFacts } from "../model/daemon.js";
import { isFrom } from "./docker-versions.js";
import type { Output } from "./outputs.js";
import type { SolveSettings } from "./solve-settings.js";

/** First BuildKit version of each LLB capability that not every supported daemon has. */
const capVersions: Readonly<Record<string, string>> = {
  "exec.meta.cdi": "0.20",
  "exec.meta.linux.resources": "0.31",
  "exec.mount.cache.content": "0.13",
  "exec.validexitcode": "0.17",
  "file.copy.alwaysreplaceexistingdestpaths": "0.14",
  "file.copy.modestring": "0.17",
  "file.copy.requiredpaths": "0.26",
  "file.symlink.create": "0.19",
  passthroughop: "0.31",
  "source.git.bundle": "0.30",
  "source.git.checkoutbundle": "0.30",
  "source.git.checksum": "0.22",
  "source.git.fetchbycommit": "0.30",
  "source.git.mtime": "0.29",
  "source.git.signatureverify": "0.26",
  "source.git.skipsubmodules": "0.24",
  "source.http.auth": "0.21",
  "source.http.header": "0.21",
  "source.http.signatureverify": "0.28",
  "source.image.checksum": "0.25",
  "source.imageblob": "0.28",
  "source.local.metadatatransfer": "0.21",
};

/**
 * Refuses, before anything is sent, what the daemon is known not to do.
 *
 * Throws `ERR_KILN_CLASSIC_STORE` for what a Docker with the classic image store cannot do (image outputs but
 * `dockerImage`, bases from OCI layouts), `ERR_KILN_UNSUPPORTED` for `dockerImage` without a Docker, `ERR_KILN_ESTARGZ_CRASHES_DAEMON` for estargz on a Docker built with Go 1.27 or newer, and
 * `ERR_KILN_UNSUPPORTED` for capabilities that the daemon does not list and the definition, if it is known yet, needs. What is unknown is let through:
 * the daemon then decides.
 */
export function preflight(
  facts: DaemonFacts,
  settings: Pick<SolveSettings, "outputs" | "layouts">,
  definition: Definition | undefined,
): void {
  const outputs = settings.outputs ?? [];
  refuseClassicStore(facts, outputs, settings.layouts);
  refuseDockerImage(facts, outputs);
  refuseEstargz(facts, outputs);
  refuseMissingCaps(facts, definition);
}

/** What a user of a classic-store Docker has to do; also said by tools that look for another engine instead. */
export const classicStoreHint: string =
  'Switch Docker to the containerd image store: put {"features": {"containerd-snapshotter": true}} into ' +
  "/etc/docker/daemon.json and restart Docker (Docker Desktop: Settings, General, “Use containerd for pulling " +
  "and storing images”). Or use another BuildKit: `kiln engine up`, then pass its address with --host or KILN_HOST.";

function refuseClassicStore(
  facts: DaemonFacts,
  outputs: readonly Output[],
  layouts: SolveSettings["layouts"],
): void {
  if (facts.store !== "classic") return;
  const refused = outputs.find(({ type }) => !classicOutputs.has(type));
  const encoded = outputs.find(
    ({ type, options }) =>
      type === "docker-image" && Object.values(options).some((value) => value !== undefined),
  );
  const what =
    refused !== undefined
      ? `it cannot write the output ${refused.type}`
      : encoded !== undefined
        ? "its images take no options of layers and manifests"
        : layouts !== undefined && layouts.size > 0
          ? `it cannot read a base from the OCI layout ${[...layouts.values()][0]}`
          : undefined;
  if (what === undefined) return;
  throw new KilnError(
    "ERR_KILN_CLASSIC_STORE",
    `the Docker at ${facts.address} uses the classic image store: ${what}`,
    { hint: classicStoreHint },
  );
}

const classicOutputs: ReadonlySet<string> = new Set(["docker-image", "local", "tar"]);

function refuseDockerImage(facts: DaemonFacts, outputs: readonly Output[]): void {
  if (facts.kind === "docker" || !outputs.some(({ type }) => type === "docker-image")) return;
  throw new KilnError(
    "ERR_KILN_UNSUPPORTED",
    `the daemon at ${facts.address} is no Docker: it has no image store to put the output docker-image into`,
    { hint: "Use a docker:// address, or dockerTar(…) and docker load, or registry(…)." },
  );
}

function refuseEstargz(facts: DaemonFacts, outputs: readonly Output[]): void {
  if (isFrom(facts.goVersion?.replace(/^go/, ""), "1.27") !== true) return;
  const wants = outputs.some(({ options }) => "compression" in options && options.compression === "estargz");
  if (!wants) return;
  throw new KilnError(
    "ERR_KILN_ESTARGZ_CRASHES_DAEMON",
    `estargz output would kill the daemon at ${facts.address}: it was built with ${facts.goVersion}, and the ` +
      "estargz writer in BuildKit panics when built with Go 1.27 or newer (containerd/stargz-snapshotter#2330, " +
      '"footer buffer = 48, not 51")',
    { hint: "Use gzip or zstd here, or build on a daemon built with Go 1.26 or older." },
  );
}

/** Throws `ERR_KILN_UNSUPPORTED` for capabilities that a definition names and the daemon does not list. */
export function refuseMissingCaps(facts: DaemonFacts, definition: Definition | undefined): void {
  if (facts.llbCaps.size === 0 || definition === undefined) return;
  const caps = new Set<string>(definition.unsentCaps);
  for (const { caps: named } of definition.metadata.values()) {
    for (const [cap, needed] of Object.entries(named ?? {})) if (needed) caps.add(cap);
  }
  for (const cap of caps) {
    if (facts.llbCaps.has(cap)) continue;
    const needed = capVersions[cap];
    const found = facts.buildkitVersion;
    throw new KilnError(
      "ERR_KILN_UNSUPPORTED",
      `the daemon at ${facts.address} does not support ${cap}` +
        `${found === undefined ? " (it does not tell its BuildKit version" : ` (BuildKit ${found}`}` +
        `${needed === undefined ? ")" : `; needs ${needed} or newer)`}`,
      { hint: "Leave out the option that needs it, or build on a newer BuildKit." },
    );
  }
}
