import { KilnError } from "../errors.js";
import { isRegularMode } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";
import { Pacer } from "./pacer.js";
import { encodeEnd, encodeFinish, type Packet } from "./packet.js";
import type { PacketChannel } from "./packet-channel.js";
import { PacketWriter } from "./packet-writer.js";
import type { Tree } from "./source-tree.js";
import { Transfer, type TransferProgress } from "./transfer.js";

/** Bytes of content in one packet. Go sends 32 KiB; eight times that is two to three times as fast. */
const CHUNK_BYTES = 256 * 1024;
/** Files whose content is under way at once, as in Go's sender. */
const FILES_AT_ONCE = 4;
/** In place of a size: any will do. */
const ANY_SIZE = -1;

interface Wanted {
  readonly id: number;
  readonly path: string;
}

/** What {@link sendTree} may be told. */
export interface SendTreeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch of the listing and each piece of content. Must not throw. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/**
 * Sends a tree to a receiver that asks for the content it lacks (fsutil's packet protocol, sender's side).
 *
 * Resolves with the totals when the receiver has said that it is done and was answered. The channel's writing
 * side is left open. Memory is bounded: a path and a size for each file, and four chunks of content.
 *
 * Rejects, after telling the receiver why (an ERR packet), with
 * - `ERR_KILN_FILE_UNREADABLE` or `ERR_KILN_FILE_CHANGED` when a file cannot be read, is gone, or has another
 *   size than was listed (Go's sender sends empty content for the first two);
 * - `ERR_KILN_PROTOCOL` for packets that cannot be decoded or have no business here, and for requests of ids
 *   that are unknown, no regular file's or asked for twice;
 * - `ERR_KILN_RPC` with the receiver's own words when it gives up;
 * - `ERR_KILN_TRUNCATED` when the stream ends before the receiver is done;
 * - the signal's reason when aborted.
 */
export async function sendTree(
  channel: PacketChannel,
  tree: Tree,
  options: SendTreeOptions = {},
): Promise<TransferProgress> {
  const transfer = new Transfer(channel, options.signal);
  const sender = new Sender(transfer, tree, options);
  await transfer.run([() => sender.list(), () => sender.answer()]);
  return sender.progress;
}

class Sender {
  readonly #transfer: Transfer;
  readonly #tree: Tree;
  readonly #options: SendTreeOptions;
  readonly #writer = new PacketWriter();
  readonly #pacer = new Pacer();
  /** By id: what may still be asked for. */
  readonly #paths: (string | undefined)[] = [];
  readonly #sizes: number[] = [];
  readonly #queue: Wanted[] = [];
  #nextInQueue = 0;
  #listed = false;
  #workers = 0;
  /** Files asked for and not yet sent whole. */
  #owed = 0;
  #files = 0;
  #bytes = 0;

  constructor(transfer: Transfer, tree: Tree, options: SendTreeOptions) {
    this.#transfer = transfer;
    this.#tree = tree;
    this.#options = options;
  }

  get progress(): TransferProgress {
    return { entries: this.#sizes.length, files: this.#files, bytes: this.#bytes };
  }

  /** Sends the listing. */
  async list(): Promise<void> {
    for await (const batch of this.#tree.walk({ signal: this.#transfer.signal })) {
      for (const stat of batch) {
        this.#offer(stat);
        const full = this.#transfer.write(this.#writer.stat(stat));
        if (full !== undefined) await full;
      }
      this.#options.onProgress?.(this.progress);
    }
    this.#listed = true;
    await this.#transfer.write(encodeEnd());
  }

  #offer(stat: FileStat): void {
    this.#paths.push(isRegularMode(stat.mode) ? stat.path : undefined);
    this.#sizes.push(stat.linkname === "" || isRegularMode(stat.mode) ? stat.size : ANY_SIZE);
  }

  /** Takes the receiver's packets until it is done. */
  async answer(): Promise<void> {
    for (;;) {
      const packet = await this.#transfer.next();
      if (packet.kind === "finish") break;
      if (packet.kind !== "request") throw unexpected(packet);
      this.#enqueue(packet.id);
    }
    if (!this.#listed || this.#owed > 0) {
      throw new KilnError("ERR_KILN_PROTOCOL", "the receiver ended the transfer before it had everything");
    }
    await this.#transfer.write(encodeFinish());
  }

  #enqueue(id: number): void {
    const path = this.#paths[id];
    if (path === undefined) {
      const reason =
        id < this.#paths.length ? "which is no file or was asked for before" : "which was never listed";
      throw new KilnError("ERR_KILN_PROTOCOL", `the receiver asked for the content of id ${id}, ${reason}`);
    }
    this.#paths[id] = undefined;
    this.#queue.push({ id, path });
    this.#owed += 1;
    if (this.#workers < FILES_AT_ONCE) this.#transfer.start(() => this.#work());
  }

  async #work(): Promise<void> {
    this.#workers += 1;
    try {
      for (let wanted = this.#dequeue(); wanted !== undefined; wanted = this.#dequeue()) {
        await this.#sendFile(wanted);
        if (this.#pacer.due()) await this.#pacer.rest();
      }
    } finally {
      this.#workers -= 1;
    }
  }

  #dequeue(): Wanted | undefined {
    const wanted = this.#queue[this.#nextInQueue];
    this.#nextInQueue += 1;
    if (wanted !== undefined) return wanted;
    this.#queue.length = 0;
    this.#nextInQueue = 0;
    return undefined;
  }

  async #sendFile({ id, path }: Wanted): Promise<void> {
    const size = this.#sizes[id];
    const content = this.#tree.read(path, {
      size: size === ANY_SIZE ? undefined : size,
      chunkBytes: CHUNK_BYTES,
      signal: this.#transfer.signal,
    });
    for await (const chunk of content) {
      const full = this.#transfer.write(this.#writer.dataHeader(id, chunk.length), chunk);
      if (full !== undefined) await full;
      this.#bytes += chunk.length;
      this.#options.onProgress?.(this.progress);
    }
    const full = this.#transfer.write(this.#writer.dataHeader(id, 0));
    // Before anything is waited for: the receiver may be done as soon as it has this packet.
    this.#owed -= 1;
    this.#files += 1;
    this.#options.onProgress?.(this.progress);
    if (full !== undefined) await full;
  }
}

function unexpected(packet: Packet): KilnError {
  return new KilnError("ERR_KILN_PROTOCOL", `the receiver of files sent a packet of kind "${packet.kind}"`);
}
