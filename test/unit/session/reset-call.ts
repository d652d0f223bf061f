import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { Duplex } from "node:stream";

/** Frame of HTTP/2 that resets a stream, with the code of a cancelled call. */
function resetFrame(streamId: number): Buffer {
  const frame = Buffer.alloc(13);
  frame.writeUIntBE(4, 0, 3);
  frame[3] = 3;
  frame.writeUInt32BE(streamId, 5);
  frame.writeUInt32BE(8, 9);
  return frame;
}

/**
 * Makes a call, sends messages, and breaks it off as a daemon does: with a reset and nothing before it. (Node's own
 * clients first end their side, as if all had been sent.) `when` is awaited before the reset.
 * Gives what closes the connection.
 */
export async function resetCall(
  socketPath: string,
  path: string,
  messages: readonly Buffer[],
  when: () => Promise<void>,
): Promise<() => void> {
  const socket = connectSocket(socketPath);
  const wire = Duplex.from({ readable: socket, writable: socket });
  const session = connect("http://localhost", { createConnection: () => wire });
  session.on("error", () => {});
  const stream = session.request(
    { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" },
    { endStream: false },
  );
  stream.on("error", () => {});
  for (const message of messages) {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.write(Buffer.concat([prefix, message]));
  }
  await when();
  socket.write(resetFrame(stream.id ?? 1));
  return () => {
    session.destroy();
    socket.destroy();
  };
}
