// Stands in for docker, podman, nerdctl, kubectl and ssh: notes how it was called and connects its input and output to
// the daemon of the test. Those programs are not there, and their part ends where the connection begins.

import { appendFileSync } from "node:fs";
import { connect } from "node:net";

const [log, socketPath, mode, ...args] = process.argv.slice(2);
appendFileSync(log, `${JSON.stringify(args)}\n`);

if (mode === "fail") {
  process.stderr.write("Error: No such container: gone\n");
  process.exit(1);
}

const socket = connect(socketPath);
const flow = () => {
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
};
if (mode === "docker") flow();
else {
  // What buildctl does beside the daemon: a plain connection to BuildKit, which here is behind Docker's socket.
  socket.write("POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  let head = Buffer.alloc(0);
  const onData = (chunk) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    socket.off("data", onData);
    socket.pause();
    process.stdout.write(head.subarray(end + 4));
    flow();
  };
  socket.on("data", onData);
}
socket.on("error", () => process.exit(2));
socket.on("close", () => process.exit(0));
