import { status } from "@grpc/grpc-js";
import { sendTree } from "../fsutil/send.js";
import { openTree, type Tree } from "../fsutil/tree.js";
import { FileSync } from "../gen/moby/filesync/v1/filesync_pb.js";
import { packetChannel } from "./grpc/packet-channel.js";
import type { ServerCall } from "./grpc/server-call.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";

/** A local tree to be sent; made by {@link openLocalTree}. */
export type LocalTree = Tree;

/**
 * Opens a local directory for {@link fileSyncService}, sent as root's.
 *
 * `exclude` has `.dockerignore` semantics. Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` or
 * `ERR_KILN_INVALID_PATTERN`.
 */
export function openLocalTree(
  root: string,
  options: { readonly exclude?: readonly string[] | undefined } = {},
): LocalTree {
  return openTree({ root, exclude: options.exclude });
}

/** Told of transfers: how far one is, and why one failed. */
export interface FileSyncOptions {
  readonly onProblem?: ((name: string, error: unknown) => void) | undefined;
}

/**
 * Sends local trees to the daemon, by the names under which a definition's `local://` sources ask for them.
 *
 * Include and exclude patterns and paths to follow that come with the request narrow the tree further. A
 * name that is not in `trees` is refused in the words of BuildKit's own client.
 */
export function fileSyncService(trees: ReadonlyMap<string, Tree>, options: FileSyncOptions = {}): Attachable {
  const diffCopy = async (call: ServerCall): Promise<void> => {
    const name = headerList(call, "dir-name")[0] ?? "";
    try {
      const tree = trees.get(name);
      if (tree === undefined) {
        throw new ServiceRefusal(status.NOT_FOUND, `no access allowed to dir "${name}"`);
      }
      const narrowed = tree.narrow({
        include: headerList(call, "include-patterns"),
        exclude: headerList(call, "exclude-patterns"),
        followPaths: headerList(call, "followpaths"),
      });
      await sendTree(packetChannel(call), narrowed, { signal: call.signal });
    } catch (error) {
      if (!call.cancelled) options.onProblem?.(name, error);
      throw error;
    }
  };
  return { name: FileSync.typeName, methods: [{ name: FileSync.method.diffCopy.name, handle: diffCopy }] };
}

/** All values of a key; since BuildKit 0.12 a key with non-ASCII values comes URL-escaped, marked `KEY-encoded`. */
function headerList(call: ServerCall, key: string): readonly string[] {
  const values = call.headers(key);
  if (call.header(`${key}-encoded`) !== "1") return values;
  return values.map((value) => decodeURIComponent(value.replaceAll("+", "%20")));
}
