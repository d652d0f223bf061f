import type { PacketChannel } from "../../fsutil/packet-channel.js";
import type { ServerCall } from "./server-call.js";

/** A call whose messages are encoded fsutil packets, as the channel that the packet protocol runs on. */
export function packetChannel(call: ServerCall): PacketChannel {
  return { incoming: call.messages(), write: (...parts) => call.write(...parts) };
}
