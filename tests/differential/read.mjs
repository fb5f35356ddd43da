// Reads each byte string as a server's connection with Node's parser (llhttp): the requests in it, and
// whether anything in it was no request.

import http from "node:http";
import { Duplex } from "node:stream";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");

function read(data) {
  return new Promise((resolve) => {
    const requests = [];
    let whole = true;
    const server = http.createServer({ maxHeaderSize: 1 << 20, requireHostHeader: true });
    server.maxHeadersCount = 0;
    server.on("request", (request, response) => {
      const body = [];
      request.on("data", (piece) => body.push(piece));
      request.on("error", () => (whole = false));
      request.on("end", () => {
        const hosts = request.rawHeaders.filter(
          (_, at) => at % 2 === 1 && request.rawHeaders[at - 1].toLowerCase() === "host",
        );
        const parts = [request.method, request.url, hosts.join(", ")];
        requests.push([...parts.map(base64), base64(Buffer.concat(body))]);
        response.end();
      });
    });
    const strange = () => (whole = false);
    server.on("clientError", (_error, socket) => {
      strange();
      socket.destroy();
    });
    server.on("upgrade", (_request, socket) => {
      strange();
      socket.destroy();
    });
    server.on("connect", (_request, socket) => {
      strange();
      socket.destroy();
    });
    const socket = new Duplex({
      read() {},
      write: (_chunk, _encoding, done) => done(),
      final: (done) => done(),
    });
    socket.setTimeout = () => socket;
    socket.setNoDelay = () => socket;
    socket.setKeepAlive = () => socket;
    socket.on("error", strange);
    socket.on("close", () => resolve({ requests, whole }));
    server.emit("connection", socket);
    socket.push(data);
    socket.push(null);
  });
}

let text = "";
for await (const piece of process.stdin) text += piece;
const results = [];
for (const encoded of JSON.parse(text)) {
  results.push(await read(Buffer.from(encoded, "base64")));
}
process.stdout.write(JSON.stringify(results));
