/** People in the public room (family C of the contracts), as clients that know its contract only. */
import type { AccountId } from "../../src/protocol/mod.ts";
import { type HttpAnswer, request } from "./app.ts";
import { type Frame, Peer } from "./peer.ts";

const PASSWORD = "SecurePass123";

/** Somebody who has registered for the room. */
export class RoomGuest {
  readonly url: string;
  readonly username: string;
  readonly id: AccountId;
  readonly token: string;

  private constructor(url: string, username: string, id: AccountId, token: string) {
    this.url = url;
    this.username = username;
    this.id = id;
    this.token = token;
  }

  /** Registers under a name, from an address of their own where the server believes what it is told of it, and logs in. */
  static async register(url: string, username = `guest_${crypto.randomUUID().slice(0, 8)}`): Promise<RoomGuest> {
    const body = { username, password: PASSWORD };
    const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint8Array(3));
    const from = { "x-forwarded-for": `10.${a}.${b}.${c}` };
    const made = await request(url, "POST", "/api/auth/register", body, undefined, from);
    if (made.status !== 201) throw new Error(`Register: ${made.status} ${JSON.stringify(made.json)}`);
    const login = await request(url, "POST", "/api/auth/login", body, undefined, from);
    if (login.status !== 200) throw new Error(`Log in: ${login.status} ${JSON.stringify(login.json)}`);
    return new RoomGuest(url, username, made.json.id, login.json.access_token);
  }

  /** The same person at another node. */
  at(url: string): RoomGuest {
    return new RoomGuest(url, this.username, this.id, this.token);
  }

  /** Sends an HTTP request in this person's name. */
  request(method: string, path: string, body?: unknown): Promise<HttpAnswer> {
    return request(this.url, method, path, body, this.token);
  }

  /** Enters the room with a token in the header; resolves once what others say will be shown. */
  async enter(): Promise<Peer> {
    const peer = await Peer.open(`${this.url.replace("http", "ws")}/ws/chat`, {
      authorization: `Bearer ${this.token}`,
    });
    await say(peer, `${this.username} is here`);
    return peer;
  }

  /** The latest messages, oldest first. */
  async history(query = ""): Promise<{ readonly messages: readonly Frame[]; readonly previous: number | null }> {
    const { status, json } = await this.request("GET", `/api/chat/messages${query}`);
    if (status !== 200) throw new Error(`History: ${status} ${JSON.stringify(json)}`);
    return json;
  }
}

/** Says something; resolves once it is shown to the one who said it. */
export async function say(peer: Peer, content: string): Promise<Frame> {
  peer.send({ type: "message", content });
  return peer.match((frame) => frame.type === "message" && frame.content === content);
}
