/**
 * One direction-pair of encoded fsutil packets, each a whole protobuf message.
 *
 * The user of a channel calls `return` on the iterator when the transfer is over, however it ended; that
 * must not end the writing side.
 */
export interface PacketChannel {
  readonly incoming: AsyncIterable<Uint8Array>;
  /**
   * Writes one encoded packet, which may be given in parts (they are not changed afterwards); returns a promise only
   * when the transport asks to wait.
   */
  write(...parts: readonly Uint8Array[]): void | Promise<void>;
}
