/** SPEC.md, "Connecting". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import { Peer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { STARTING_MS, socketUrl } from "./support.ts";

let server: TestApp;
let ann: Person;
let ben: Person;
beforeAll(async () => {
  server = await startApp({ env: { CORS_ORIGINS: "https://app.example.org" } });
  [ann, ben] = await Promise.all([server.person(), server.person()]);
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

const bearer = (person: Person) => ({ authorization: `Bearer ${person.token}` });

describe("connecting", () => {
  test("/ws answers a plain HTTP request with 426 [CONN-1]", async () => {
    for (const path of ["/ws", `/ws/${ann.id}/${ann.sessionId}`]) {
      const answer = await request(server.url, "GET", path);
      expect(answer.status).toBe(426);
      expect(answer.json.error.code).toBe("upgrade_required");
    }
  });

  test("both addresses open a socket [CONN-1]", async () => {
    for (const path of ["/ws", `/ws/${ann.id}/${ann.sessionId}`]) {
      using peer = await Peer.open(socketUrl(server, path), bearer(ann));
      expect(await peer.next("welcome")).toMatchObject({ user_id: ann.id, session_id: ann.sessionId });
      await peer.next("caught_up");
    }
  });

  test("/ws/{user_id}/{session_id} closes with 4403 for the token of another user or session [CONN-2]", async () => {
    const second = await ann.signIn();
    for (const path of [
      `/ws/${ben.id}/${ben.sessionId}`,
      `/ws/${ben.id}/${ann.sessionId}`,
      `/ws/${ann.id}/${second.sessionId}`,
      "/ws/nobody/nothing",
    ]) {
      using peer = await Peer.open(socketUrl(server, path), bearer(ann));
      expect(await peer.ended()).toEqual({ code: 4403, reason: "wrong_session" });
      expect(peer.frames).toEqual([]);
    }
  });

  test("/ws/{user_id}/{session_id} closes with 4403 when the first frame holds another session's token [CONN-2]", async () => {
    using peer = await Peer.open(socketUrl(server, `/ws/${ann.id}/${ann.sessionId}`));
    peer.send({ type: "authenticate", token: ben.token });
    expect(await peer.ended()).toEqual({ code: 4403, reason: "wrong_session" });
    expect(peer.frames).toEqual([]);
  });

  test("a binary message closes the socket with 4400 [CONN-3]", async () => {
    using peer = await ann.live();
    peer.socket.send(new TextEncoder().encode('{"type":"ping"}'));
    expect(await peer.ended()).toEqual({ code: 4400, reason: "bad_protocol" });
  });

  test("a binary first message closes the socket with 4400 [CONN-3]", async () => {
    using peer = await Peer.open(socketUrl(server));
    peer.socket.send(new Uint8Array([1, 2, 3]));
    expect(await peer.ended()).toEqual({ code: 4400, reason: "bad_protocol" });
  });

  test("a text message that is no JSON object with a type is refused, and the socket lives [CONN-3]", async () => {
    using peer = await ann.live();
    for (const text of ["[]", "null", "1", '"ping"', "{}", '{"type":7}', ""]) {
      peer.send(text);
      const error = await peer.next("error");
      expect(error.code).toBe(text.startsWith("{") ? "unknown_frame" : "bad_json");
    }
    await peer.settled();
  });

  test("Origin of the list or of the server passes, another gets 403 [CONN-4]", async () => {
    const origins = {
      "https://app.example.org": 101,
      [server.url]: 101,
      "https://evil.example": 403,
      null: 403,
      "": 403,
    };
    for (const [origin, status] of Object.entries(origins)) {
      const answer = await RawSocket.upgrade(socketUrl(server), {
        Origin: origin,
        Authorization: `Bearer ${ann.token}`,
      });
      using _ = answer.socket;
      expect({ origin, status: answer.status }).toEqual({ origin, status });
      if (status === 403) expect(JSON.parse(answer.body).error.code).toBe("forbidden");
    }
  });
});
