/** A stream of encoded fsutil packets in both directions. */
export interface PacketChannel {
  readonly incoming: AsyncIterable<Uint8Array>;
  /** Writes one encoded packet; returns a promise only when the transport asks to wait. */
  write(packet: Uint8Array): void | Promise<void>;
}
