import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Platform as PbPlatform, PlatformSchema } from "../gen/pb/ops_pb.js";
import { normalizePlatform, type Platform } from "../oci/platform.js";

/** A platform as the daemon's messages write it. */
export function platformToPb(platform: Platform): MessageInitShape<typeof PlatformSchema> {
  return {
    OS: platform.os,
    Architecture: platform.architecture,
    Variant: platform.variant ?? "",
    OSVersion: platform.osVersion ?? "",
    OSFeatures: [...(platform.osFeatures ?? [])],
  };
}

/** A platform from a daemon's message, normalised. */
export function platformFromPb(platform: PbPlatform): Platform {
  return normalizePlatform({
    os: platform.OS,
    architecture: platform.Architecture,
    ...(platform.Variant === "" ? {} : { variant: platform.Variant }),
    ...(platform.OSVersion === "" ? {} : { osVersion: platform.OSVersion }),
    ...(platform.OSFeatures.length === 0 ? {} : { osFeatures: [...platform.OSFeatures] }),
  });
}
