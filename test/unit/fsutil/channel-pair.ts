import type { PacketChannel } from "../../../src/fsutil/packet-channel.js";

/** One end's incoming packets. */
class Inbox implements AsyncIterable<Uint8Array> {
  readonly #packets: Uint8Array[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(packet: Uint8Array): void {
    this.#packets.push(packet);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const packet = this.#packets.shift();
      if (packet !== undefined) yield packet;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** A channel with an end that a test drives by hand. */
export interface DrivenChannel {
  readonly channel: PacketChannel;
  /** Packets that the code under test wrote. */
  readonly written: Uint8Array[];
  send(...packets: readonly Uint8Array[]): void;
  /** Ends the stream towards the code under test. */
  end(): void;
}

/** Makes a {@link DrivenChannel}. */
export function drivenChannel(): DrivenChannel {
  const inbox = new Inbox();
  const written: Uint8Array[] = [];
  return {
    written,
    channel: {
      incoming: inbox,
      write(...parts) {
        written.push(Buffer.concat(parts));
      },
    },
    send(...packets) {
      for (const packet of packets) inbox.push(packet);
    },
    end: () => inbox.end(),
  };
}

/** Two channels, each the other's far end. */
export function channelPair(): readonly [a: PacketChannel, b: PacketChannel] {
  const toA = new Inbox();
  const toB = new Inbox();
  return [
    { incoming: toA, write: (...parts) => toB.push(Buffer.concat(parts)) },
    { incoming: toB, write: (...parts) => toA.push(Buffer.concat(parts)) },
  ];
}
