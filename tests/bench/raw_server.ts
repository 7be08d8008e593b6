/**
 * Raw Bun with nothing behind it: what the runtime itself can do on this machine. `/echo` gives a
 * frame back, `/relay` gives it to the other socket of the pair, `/publish` to every socket; the
 * bearer token says which pair.
 * Prints its port.
 */

interface RawData {
  readonly kind: string;
  readonly pair: string;
  peer: Bun.ServerWebSocket<RawData> | null;
}

const alone = new Map<string, Bun.ServerWebSocket<RawData>>();

const server = Bun.serve<RawData>({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, self) {
    const data: RawData = {
      kind: new URL(request.url).pathname.slice(1),
      pair: request.headers.get("authorization") ?? "",
      peer: null,
    };
    return self.upgrade(request, { data }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    open(socket) {
      const { kind, pair } = socket.data;
      if (kind === "echo") return;
      if (kind === "publish") return void socket.subscribe("everybody");
      const other = alone.get(pair);
      if (other === undefined) {
        alone.set(pair, socket);
        return;
      }
      alone.delete(pair);
      socket.data.peer = other;
      other.data.peer = socket;
    },
    message(socket, text) {
      if (socket.data.kind === "publish") server.publish("everybody", text);
      else (socket.data.kind === "echo" ? socket : socket.data.peer)?.send(text);
    },
  },
});

console.log(server.port);
