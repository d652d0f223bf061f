import type { ServerDuplexStream } from "@grpc/grpc-js";

/** How long a reset takes at most to reach us after the end of the messages that came with it. */
const resetPatienceMs = 50;

/**
 * Whether a call whose incoming messages have ended was broken off rather than ended.
 *
 * grpc-js ends the messages of a reset call like those of one that was closed in order and says `cancelled`
 * only afterwards, so the announcement is waited for: as long as it takes when it comes, 50 ms when it does not.
 */
export function wasBrokenOff(call: ServerDuplexStream<Buffer, Buffer>): Promise<boolean> {
  if (call.cancelled) return Promise.resolve(true);
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      call.off("cancelled", settle);
      resolve(call.cancelled);
    };
    const timer = setTimeout(settle, resetPatienceMs);
    call.once("cancelled", settle);
  });
}
