import { KilnError } from "../../errors.js";
import type { FileStamp } from "../../internal/file-stamp.js";
import type { FileVersion } from "../../internal/file-version.js";
import type { LayoutStamp } from "../../oci/check-layout.js";
import { isDigest } from "../../oci/digest.js";
import type { DirectoryStamp } from "./directory-stamp.js";

/** An image that a registry has to have. */
export interface RegistryRef {
  /** As the output names it. */
  readonly name: string;
  /** `HOST/REPOSITORY`. */
  readonly repository: string;
  /** Tag, or digest where no tag was moved. */
  readonly ref: string;
}

/** By what it is known later that an output is still there: plain JSON. One for each output, in their order. */
export type OutputStamp =
  | {
      readonly type: "registry";
      readonly refs: readonly RegistryRef[];
      readonly digest: string;
      readonly insecure: boolean;
    }
  | {
      readonly type: "docker-image";
      readonly names: readonly string[];
      /** Docker's id of the image: digest of manifest or index, in the classic store of the config. */
      readonly digest: string;
    }
  | {
      readonly type: "oci-layout";
      readonly dir: string;
      /** Where that really is. */
      readonly place: string;
      readonly layout: LayoutStamp;
    }
  | {
      readonly type: "oci-tar" | "docker-tar" | "tar";
      readonly file: string;
      readonly stamp: FileStamp;
    }
  | {
      readonly type: "local";
      readonly dir: string;
      readonly place: string;
      readonly stamp: DirectoryStamp;
    }
  | {
      /** The name that the build was published under. */
      readonly type: "published";
      readonly name: string;
      readonly digest: string;
      readonly at:
        | { readonly kind: "directory"; readonly dir: string; readonly layout: LayoutStamp }
        | { readonly kind: "registry"; readonly repository: string; readonly ref: string };
    };

/** Reads stamps back from JSON. Throws `ERR_KILN_FILE_INVALID` for what is none. */
export function readStamps(value: unknown): readonly OutputStamp[] {
  if (Array.isArray(value) && value.every(isStamp)) return value;
  throw new KilnError("ERR_KILN_FILE_INVALID", "what is recorded of the outputs is damaged", {
    hint: "It is made anew by the next build.",
  });
}

function isStamp(value: unknown): value is OutputStamp {
  switch (at(value, "type")) {
    case "registry":
      return (
        isFilled(at(value, "refs"), isRef) &&
        isDigestText(at(value, "digest")) &&
        typeof at(value, "insecure") === "boolean"
      );
    case "docker-image":
      return isFilled(at(value, "names"), isText) && isDigestText(at(value, "digest"));
    case "oci-layout":
      return isText(at(value, "dir")) && isText(at(value, "place")) && isLayout(at(value, "layout"));
    case "oci-tar":
    case "docker-tar":
    case "tar":
      return isText(at(value, "file")) && isFileStamp(at(value, "stamp"));
    case "local":
      return isText(at(value, "dir")) && isText(at(value, "place")) && isDirectory(at(value, "stamp"));
    case "published": {
      const place = at(value, "at");
      return (
        isText(at(value, "name")) &&
        isDigestText(at(value, "digest")) &&
        (at(place, "kind") === "directory"
          ? isText(at(place, "dir")) && isLayout(at(place, "layout"))
          : at(place, "kind") === "registry" && isText(at(place, "repository")) && isText(at(place, "ref")))
      );
    }
    default:
      return false;
  }
}

function isRef(value: unknown): boolean {
  return isText(at(value, "name")) && isText(at(value, "repository")) && isText(at(value, "ref"));
}

function isLayout(value: unknown): boolean {
  const isBlob = (blob: unknown): boolean =>
    isDigestText(at(blob, "digest")) && isSize(at(blob, "size")) && isVersion(at(blob, "version"));
  return (
    isDigestText(at(value, "digest")) &&
    isSize(at(value, "size")) &&
    isText(at(value, "tag")) &&
    isFilled(at(value, "blobs"), isBlob)
  );
}

function isFileStamp(value: unknown): boolean {
  const sha256 = at(value, "sha256");
  return (
    isSize(at(value, "size")) &&
    isVersion(at(value, "version")) &&
    (sha256 === undefined || isDigestText(`sha256:${String(sha256)}`))
  );
}

function isDirectory(value: unknown): boolean {
  const entries = at(value, "entries");
  return (
    isDigestText(`sha256:${String(at(value, "digest"))}`) &&
    isSize(at(value, "count")) &&
    (entries === undefined || (typeof entries === "object" && Object.values(entries ?? {}).every(isText)))
  );
}

function isVersion(value: unknown): value is FileVersion | undefined {
  const keys = ["device", "inode", "size", "mtimeNs", "ctimeNs"];
  return value === undefined || keys.every((key) => isText(at(value, key)));
}

function isFilled(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isOne);
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isDigestText(value: unknown): boolean {
  return typeof value === "string" && isDigest(value);
}

function at(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined;
}
