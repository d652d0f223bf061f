import { KilnError } from "../errors.js";

/** An OCI platform, normalised: `arm64` without `v8`, `arm` with a variant, `amd64` without `v1`. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
  readonly osVersion?: string | undefined;
  readonly osFeatures?: readonly string[] | undefined;
}

const architectureNames: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  i386: ["386", ""],
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

const variantNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  amd64: { v1: "" },
  arm64: { "8": "", v8: "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9" },
  arm: { "": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8" },
};

const known: Readonly<Record<string, readonly string[]>> = {
  linux: ["386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"],
  windows: ["386", "amd64", "arm", "arm64"],
  darwin: ["amd64", "arm64"],
  freebsd: ["386", "amd64", "arm", "arm64"],
};

/**
 * Reads `os/arch`, `os/arch/variant` or an architecture alone (then Linux).
 *
 * Throws `ERR_KILN_INVALID_PLATFORM`. The result is normalised.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_.-]+$/.test(part))) throw invalid(text);
  const [first = "", second, third] = parts;
  const platform =
    second === undefined
      ? normalizePlatform({ os: "linux", architecture: first })
      : normalizePlatform({
          os: first,
          architecture: second,
          ...(third === undefined ? {} : { variant: third }),
        });
  if (known[platform.os]?.includes(platform.architecture) !== true) throw invalid(text);
  return platform;
}

/** `os/arch` or `os/arch/variant`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined || variant === ""
    ? `${os}/${architecture}`
    : `${os}/${architecture}/${variant}`;
}

/** The form in which containerd compares platforms (`platforms.Normalize`): aliases resolved, default variants dropped. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === "macos" ? "darwin" : platform.os.toLowerCase();
  let architecture = platform.architecture.toLowerCase();
  let variant = (platform.variant ?? "").toLowerCase();
  const alias = Object.hasOwn(architectureNames, architecture) ? architectureNames[architecture] : undefined;
  if (alias !== undefined) {
    architecture = alias[0];
    variant = alias[1] ?? variant;
  }
  const names = Object.hasOwn(variantNames, architecture) ? variantNames[architecture] : undefined;
  if (names !== undefined && Object.hasOwn(names, variant)) variant = names[variant] ?? variant;
  return {
    os,
    architecture,
    ...(variant === "" ? {} : { variant }),
    ...(platform.osVersion === undefined ? {} : { osVersion: platform.osVersion }),
    ...(platform.osFeatures === undefined ? {} : { osFeatures: [...new Set(platform.osFeatures)].sort() }),
  };
}

/** Whether two platforms are the same after normalising; versions and features of the OS do not count. */
export function samePlatform(a: Platform, b: Platform): boolean {
  return formatPlatform(normalizePlatform(a)) === formatPlatform(normalizePlatform(b));
}

function invalid(text: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_PLATFORM", `not a platform: ${JSON.stringify(text)}`, {
    hint: "Write linux/amd64, linux/arm64 or linux/arm/v7.",
  });
}
