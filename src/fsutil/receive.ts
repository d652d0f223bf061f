import { KilnError } from "../errors.js";
import { chmodBits, isDirectoryMode, isRegularMode, isSymlinkMode } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";
import { ListingValidator } from "./listing-validator.js";
import { Pacer } from "./pacer.js";
import { encodeFinish, encodeRequest, type Packet } from "./packet.js";
import type { PacketChannel } from "./packet-channel.js";
import type { SafeFile } from "./safe-file.js";
import { SafeRoot } from "./safe-root.js";
import { Transfer, type TransferProgress } from "./transfer.js";

/** Files asked for and not yet whole, at most: as many as may be open at once when the sender mixes them all. */
const REQUESTS_AT_ONCE = 128;
const DEFAULT_MAX_ENTRIES = 1_000_000;
const DEFAULT_MAX_BYTES = 1024 ** 4;
const MAX_NOTES = 1000;

/** What {@link receiveTree} accepts at most. */
export interface ReceiveLimits {
  /** Paths in the listing. Default: 1,000,000. */
  readonly maxEntries?: number | undefined;
  /** Bytes of content of all files together. Default: 1 TiB. */
  readonly maxBytes?: number | undefined;
}

/** What {@link receiveTree} may be told. */
export interface ReceiveTreeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly limits?: ReceiveLimits | undefined;
  /** Called after each entry and each piece of content. Must not throw. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/** An entry that the listing had and the directory has not. */
export interface SkippedEntry {
  readonly path: string;
  readonly reason: string;
}

/** What came of {@link receiveTree}. */
export interface ReceivedTree extends TransferProgress {
  /** Devices, pipes and the like, which cannot be made from Node: the first 1,000. */
  readonly skipped: readonly SkippedEntry[];
  /** How many were skipped altogether. */
  readonly skippedCount: number;
  /** How many entries had extended attributes, which Node cannot set. */
  readonly entriesWithXattrs: number;
}

/**
 * Receives a tree into a directory (fsutil's packet protocol, receiver's side), which is made when it is
 * missing. What is there already stays unless the tree has the same path (merge).
 *
 * Modes are kept, modification times to the microsecond, symlinks and hard links as they are; owners become
 * the process's own; extended attributes are dropped and devices and pipes skipped, both reported. A file
 * appears under its name only once it is whole; directories get their modes and times at the end.
 *
 * The sender is not trusted: see {@link SafeRoot} and {@link ListingValidator}. On any failure the sender is
 * told, unfinished files are removed, finished ones stay. Rejects with
 * - `ERR_KILN_UNSAFE_PATH`, `ERR_KILN_PROTOCOL` for what breaks the rules: paths, order, content of files not
 *   asked for or finished, more content than was listed;
 * - `ERR_KILN_LIMIT_EXCEEDED` above the limits;
 * - `ERR_KILN_TRUNCATED` when a file has less content than was listed or the stream ends too early;
 * - `ERR_KILN_OUTPUT_EXISTS`, `ERR_KILN_OUTPUT_UNWRITABLE` for the directory;
 * - `ERR_KILN_RPC` with the sender's own words when it gives up;
 * - the signal's reason when aborted.
 */
export async function receiveTree(
  channel: PacketChannel,
  directory: string,
  options: ReceiveTreeOptions = {},
): Promise<ReceivedTree> {
  const transfer = new Transfer(channel, options.signal);
  let receiver: Receiver | undefined;
  try {
    await transfer.run([
      async () => {
        receiver = new Receiver(transfer, SafeRoot.open(directory), options);
        await receiver.receive();
      },
    ]);
    if (receiver === undefined) throw new Error("unreachable: the transfer ended before it began");
    return receiver.result;
  } finally {
    receiver?.close();
  }
}

interface IncomingFile {
  readonly stat: FileStat;
  file: SafeFile | undefined;
  received: number;
}

class Receiver {
  readonly #transfer: Transfer;
  readonly #root: SafeRoot;
  readonly #options: ReceiveTreeOptions;
  readonly #validator = new ListingValidator();
  readonly #pacer = new Pacer();
  /** Files not asked for yet, by their ids; read from `#nextUnasked`. */
  readonly #unasked: { readonly id: number; readonly stat: FileStat }[] = [];
  #nextUnasked = 0;
  readonly #incoming = new Map<number, IncomingFile>();
  readonly #directories: FileStat[] = [];
  readonly #links: FileStat[] = [];
  readonly #skipped: SkippedEntry[] = [];
  #listed = false;
  #entries = 0;
  #files = 0;
  #bytes = 0;
  #promisedBytes = 0;
  #skippedCount = 0;
  #withXattrs = 0;

  constructor(transfer: Transfer, root: SafeRoot, options: ReceiveTreeOptions) {
    this.#transfer = transfer;
    this.#root = root;
    this.#options = options;
  }

  get result(): ReceivedTree {
    return {
      ...this.#progress,
      skipped: this.#skipped,
      skippedCount: this.#skippedCount,
      entriesWithXattrs: this.#withXattrs,
    };
  }

  get #progress(): TransferProgress {
    return { entries: this.#entries, files: this.#files, bytes: this.#bytes };
  }

  async receive(): Promise<void> {
    while (!this.#listed || this.#incoming.size > 0 || this.#nextUnasked < this.#unasked.length) {
      await this.#take(await this.#transfer.next());
      await this.#ask();
      if (this.#pacer.due()) await this.#pacer.rest();
      this.#options.onProgress?.(this.#progress);
    }
    await this.#finishTree();
    await this.#transfer.write(encodeFinish());
    const last = await this.#transfer.next();
    if (last.kind !== "finish") throw unexpected(last, "after the transfer was over");
  }

  /** Removes what is unfinished and lets go of the directory. */
  close(): void {
    for (const { file } of this.#incoming.values()) {
      try {
        file?.discard();
      } catch {
        // The failure that ended the transfer says more.
      }
    }
    this.#root.close();
  }

  async #take(packet: Packet): Promise<void> {
    if (packet.kind === "stat") this.#takeStat(packet.stat);
    else if (packet.kind === "data") await this.#takeData(packet.id, packet.data);
    else if (packet.kind === "end" && !this.#listed) this.#listed = true;
    else throw unexpected(packet, this.#listed ? "after the end of the listing" : "within the listing");
  }

  #takeStat(stat: FileStat): void {
    if (this.#listed) throw unexpected({ kind: "stat", stat }, "after the end of the listing");
    const id = this.#entries;
    this.#entries += 1;
    this.#checkLimits(stat);
    this.#validator.check(stat);
    if (stat.xattrs !== undefined) this.#withXattrs += 1;
    if (isDirectoryMode(stat.mode)) {
      this.#root.makeDirectory(stat.path);
      this.#directories.push(stat);
    } else if (isSymlinkMode(stat.mode)) {
      this.#root.makeSymlink(stat.path, stat.linkname, stat.modTime);
    } else if (!isRegularMode(stat.mode)) {
      this.#skip(stat.path, "devices, pipes and sockets cannot be made");
    } else if (stat.linkname !== "") {
      this.#links.push(stat);
    } else if (stat.size === 0) {
      this.#root.createFile(stat.path).commit(metadataOf(stat));
      this.#files += 1;
    } else {
      this.#unasked.push({ id, stat });
    }
  }

  #checkLimits(stat: FileStat): void {
    const maxEntries = this.#options.limits?.maxEntries ?? DEFAULT_MAX_ENTRIES;
    if (this.#entries > maxEntries) {
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `the listing has more than ${maxEntries} entries`);
    }
    const maxBytes = this.#options.limits?.maxBytes ?? DEFAULT_MAX_BYTES;
    if (isRegularMode(stat.mode) && stat.linkname === "") this.#promisedBytes += stat.size;
    if (this.#promisedBytes > maxBytes) {
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `the listed files have more than ${maxBytes} bytes`);
    }
  }

  #skip(path: string, reason: string): void {
    this.#skippedCount += 1;
    if (this.#skipped.length < MAX_NOTES) this.#skipped.push({ path, reason });
  }

  async #ask(): Promise<void> {
    while (this.#incoming.size < REQUESTS_AT_ONCE) {
      const wanted = this.#unasked[this.#nextUnasked];
      if (wanted === undefined) {
        this.#unasked.length = 0;
        this.#nextUnasked = 0;
        return;
      }
      this.#nextUnasked += 1;
      this.#incoming.set(wanted.id, { stat: wanted.stat, file: undefined, received: 0 });
      await this.#transfer.write(encodeRequest(wanted.id));
    }
  }

  async #takeData(id: number, data: Uint8Array): Promise<void> {
    const incoming = this.#incoming.get(id);
    if (incoming === undefined) {
      throw new KilnError("ERR_KILN_PROTOCOL", `received content of id ${id}, which was not asked for`);
    }
    const { stat } = incoming;
    if (data.length === 0) {
      this.#finishFile(id, incoming);
      return;
    }
    incoming.received += data.length;
    if (incoming.received > stat.size) {
      throw new KilnError(
        "ERR_KILN_PROTOCOL",
        `received more than the listed ${stat.size} bytes of ${JSON.stringify(stat.path)}`,
      );
    }
    incoming.file ??= this.#root.createFile(stat.path);
    await incoming.file.write(data);
    this.#bytes += data.length;
  }

  #finishFile(id: number, { stat, file, received }: IncomingFile): void {
    if (received < stat.size || file === undefined) {
      throw new KilnError(
        "ERR_KILN_TRUNCATED",
        `received ${received} of the listed ${stat.size} bytes of ${JSON.stringify(stat.path)}`,
      );
    }
    file.commit(metadataOf(stat));
    this.#incoming.delete(id);
    this.#files += 1;
  }

  /** What needs all files to be there: hard links, then directories from the inside out. */
  async #finishTree(): Promise<void> {
    for (const link of this.#links) {
      this.#root.makeLink(link.path, link.linkname);
      if (this.#pacer.due()) await this.#pacer.rest();
    }
    for (let directory = this.#directories.pop(); directory; directory = this.#directories.pop()) {
      this.#root.finishDirectory(directory.path, metadataOf(directory));
      if (this.#pacer.due()) await this.#pacer.rest();
    }
  }
}

function metadataOf(stat: FileStat): { readonly mode: number; readonly modTime: bigint } {
  return { mode: chmodBits(stat.mode), modTime: stat.modTime };
}

function unexpected(packet: Packet, when: string): KilnError {
  return new KilnError(
    "ERR_KILN_PROTOCOL",
    `the sender of files sent a packet of kind "${packet.kind}" ${when}`,
  );
}
