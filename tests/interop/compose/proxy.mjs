// An HTTP proxy for apt inside `docker build`: the engine of this test lives in a network
// namespace that no packet leaves, and this is its one door.
//
//   node proxy.mjs ADDRESS PORT

import { createServer, request } from "node:http";
import { connect } from "node:net";

const [address, port] = process.argv.slice(2);
const server = createServer((asked, answer) => {
  const forwarded = request(asked.url, { method: asked.method, headers: asked.headers }, (found) => {
    answer.writeHead(found.statusCode, found.headers);
    found.pipe(answer);
  });
  forwarded.on("error", () => answer.destroy());
  answer.on("close", () => forwarded.destroy());
  asked.pipe(forwarded);
});
server.on("connect", (asked, socket, head) => {
  const [host, hostPort] = asked.url.split(":");
  const far = connect(Number(hostPort), host, () => {
    socket.write("HTTP/1.1 200 Connected\r\n\r\n");
    far.write(head);
    far.pipe(socket).pipe(far);
  });
  far.on("error", () => socket.destroy());
  socket.on("error", () => far.destroy());
});
server.listen(Number(port), address);
