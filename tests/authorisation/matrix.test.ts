/** Runs the authorisation matrix against a whole server, over real HTTP and sockets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { relayOperations } from "../../src/compat/relay/mod.ts";
import { roomOperations } from "../../src/compat/room/mod.ts";
import { ClientFrame, ErrorAnswer, OPERATIONS } from "../../src/protocol/mod.ts";
import type { TestApp } from "../support/app.ts";
import { type Frame, Peer } from "../support/peer.ts";
import { FRAMES, ROUTES, type Try } from "./matrix.ts";
import {
  ACTORS,
  type Actor,
  type Cast,
  castOf,
  startWorld,
  type Things,
  thingsFor,
  type World,
  worldFor,
} from "./world.ts";

const OPERATION = { ...OPERATIONS, ...relayOperations, ...roomOperations };
/** Whoever is in the group may know that it exists, and whose message it is that it does. */
const INSIDE: ReadonlySet<Actor> = new Set(["member", "admin", "otherDevice"]);
const REF = "the frame";
const TIMEOUT_MS = 60_000;

let server: TestApp;
let everyone: Cast;
beforeAll(async () => {
  server = await startWorld();
  everyone = await castOf(server);
});
afterAll(() => server[Symbol.asyncDispose]());

describe("the matrix", () => {
  test("has a row for every route of the API's description, and for no other", async () => {
    const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, object> };
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.length).toBeGreaterThan(20);
    expect(Object.keys(ROUTES).sort()).toEqual(routes.sort());
  });

  test("has a row for every frame type of the schemas, and for no other", () => {
    const types = ClientFrame.options.flatMap(({ shape: { type } }) =>
      "values" in type ? [...type.values] : Object.values(type.enum),
    );
    expect(types.length).toBeGreaterThan(7);
    expect(Object.keys(FRAMES).sort()).toEqual(types.map(String).sort());
  });
});

interface Answered {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function ask(world: World, method: string, { path, body }: Try): Promise<Answered> {
  const answer = await fetch(world.cast.server.url + path, {
    method,
    redirect: "manual",
    headers: {
      ...(world.token === null ? {} : { authorization: `Bearer ${world.token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
  return { status: answer.status, text: await answer.text(), headers: Object.fromEntries(answer.headers) };
}

function outcomeOf({ status, text }: Answered): string {
  return status < 400 ? String(status) : `${status} ${ErrorAnswer.parse(JSON.parse(text)).error.code}`;
}

/** All that an answer says, but for when and as which request. */
function bytesOf({ status, text, headers }: Answered): object {
  const { date: _, "x-request-id": id = "", ...kept } = headers;
  expect(id).not.toBe("");
  return { status, text: text.replaceAll(id, "(request id)"), headers: kept };
}

/** What must be on every answer, whoever gets it. */
function expectCareful(route: string, { headers, status, text }: Answered): void {
  expect(headers["x-content-type-options"], route).toBe("nosniff");
  expect(headers["content-security-policy"], route).toMatch(/^default-src 'none'.*frame-ancestors 'none'/);
  expect(headers["referrer-policy"], route).toBe("no-referrer");
  if (text !== "")
    expect(headers["content-type"], route).toMatch(/^(application\/json|text\/(plain|html|css);.*charset=utf-8)/);
  // What is the same for everybody may be kept.
  if (!/^GET \/(docs\/\{file\}|\.well-known\/jwks\.json)$/.test(route))
    expect(headers["cache-control"], route).toBe("no-store");
  if (status === 401) expect(headers["www-authenticate"], route).toBe("Bearer");
}

/** A JSON answer is what the description says it is. */
function expectDescribed(route: string, { status, text }: Answered): void {
  const operation = new Map(Object.entries(OPERATION)).get(route);
  const described = operation?.answers[status];
  if (status >= 400 && described === undefined) return void ErrorAnswer.parse(JSON.parse(text));
  expect(described, `${route} answers ${status}`).toBeDefined();
  if (described === null) expect(text, route).toBe("");
  else if (typeof described === "object") described.parse(JSON.parse(text));
}

describe("route", () => {
  for (const [route, row] of Object.entries(ROUTES)) {
    const [method = ""] = route.split(" ");
    const world = async (cast: Cast, actor: Actor, things: Things) => {
      if (row.endsSessions === true) cast.sessions.delete(actor);
      const shared = method === "GET" || row.endsSessions === true;
      return worldFor(cast, actor, shared ? things : undefined);
    };
    const castFor = async () => (row.endsSessions === true ? castOf(server) : everyone);

    test(
      route,
      async () => {
        const found: Record<string, string> = {};
        const cast = await castFor();
        const things = await thingsFor(cast);
        for (const actor of ACTORS) {
          const tried = await world(cast, actor, things);
          const answer = await ask(tried, method, row.send(tried));
          found[actor] = outcomeOf(answer);
          expectCareful(route, answer);
          expectDescribed(route, answer);
        }
        expect(found).toEqual({ ...row.outcomes });
      },
      TIMEOUT_MS,
    );

    const { missing } = row;
    if (missing === undefined) continue;
    test(
      `${route} tells no stranger what exists`,
      async () => {
        const cast = await castFor();
        const things = await thingsFor(cast);
        for (const actor of ACTORS) {
          const isOwner = actor === "member" || actor === "otherDevice";
          if (isOwner || (INSIDE.has(actor) && !row.outcomes[actor].startsWith("404"))) continue;
          const tried = await world(cast, actor, things);
          const there = await ask(tried, method, row.send(tried));
          const nowhere = await ask(tried, method, missing(tried));
          expect([actor, bytesOf(there)]).toEqual([actor, bytesOf(nowhere)]);
        }
      },
      TIMEOUT_MS,
    );
  }
});

/** The next frame that fits, or `null` where the socket closes first. */
async function frameOr(peer: Peer, fits: (frame: Frame) => boolean): Promise<Frame | null> {
  try {
    return await peer.match(fits);
  } catch (error) {
    if (peer.closed === null) throw error;
    return null;
  }
}

/**
 * Opens a socket as the actor would, sends a frame, and says what comes of it. Whether `nothing` does
 * is known once a later frame, which the database is asked about too, has its answer.
 */
async function sendFrame(
  world: World,
  frame: object,
  expected: string,
): Promise<{ readonly outcome: string; readonly frames: readonly Frame[] }> {
  using peer = await Peer.open(`${world.cast.server.url.replace("http", "ws")}/ws`);
  if (world.token !== null) {
    peer.send({ type: "authenticate", token: world.token });
    const ready = await frameOr(peer, ({ type }) => type === "caught_up");
    if (ready === null) return { outcome: `closed ${peer.closed?.code}`, frames: [] };
  }
  const before = peer.frames.length;
  peer.send({ ...frame, ref: REF });
  if (expected === "nothing") peer.send({ type: "typing_stop", conversation_id: world.nothing, ref: "later" });
  const isAnswer = ({ ref, type }: Frame) => ref === REF || type === expected;
  const last = await frameOr(peer, (one) => (expected === "nothing" ? one.ref === "later" : isAnswer(one)));
  if (last === null) return { outcome: `closed ${peer.closed?.code}`, frames: [] };
  const frames = peer.frames.slice(before).filter(({ ref }) => ref !== "later");
  const answer = frames.find(isAnswer);
  if (answer === undefined) return { outcome: "nothing", frames };
  return { outcome: answer.type === "error" ? `error ${answer.code}` : answer.type, frames };
}

describe("frame", () => {
  for (const [type, row] of Object.entries(FRAMES)) {
    test(
      type,
      async () => {
        const found: Record<string, string> = {};
        const cast = await castOf(server);
        for (const actor of ACTORS) {
          const world = await worldFor(cast, actor);
          const { outcome, frames } = await sendFrame(world, row.send(world), row.outcomes[actor]);
          found[actor] = outcome;
          if (actor === "other" || actor === "nonMember") {
            const told = frames.filter((frame) => frame.conversation_id === world.group);
            expect([type, actor, told]).toEqual([type, actor, []]);
          }
        }
        expect(found).toEqual({ ...row.outcomes });
      },
      TIMEOUT_MS,
    );

    const { missing } = row;
    if (missing === undefined) continue;
    test(
      `${type} tells no stranger what exists`,
      async () => {
        const cast = await castOf(server);
        for (const actor of ["other", "nonMember"] as const) {
          const world = await worldFor(cast, actor);
          const told = async (frame: object) => {
            const { frames } = await sendFrame(world, frame, row.outcomes[actor]);
            return JSON.stringify(frames.map(({ request_id: _, id: __, ...rest }) => rest));
          };
          expect(await told(row.send(world))).toBe(await told(missing(world)));
        }
      },
      TIMEOUT_MS,
    );
  }
});

test(
  "what is said in a group reaches its members on every device, and nobody else",
  async () => {
    const cast = await castOf(server);
    const worlds = await Promise.all(
      (["other", "nonMember", "former", "member", "otherDevice"] as const).map(async (actor) => ({
        actor,
        world: await worldFor(cast, actor),
      })),
    );
    const { group } = (await worldFor(cast, "admin")) satisfies World;
    const listening = await Promise.all(
      worlds.map(async ({ actor, world }) => {
        if (world.self === null) throw new Error("Listen as somebody");
        return { actor, peer: await world.self.live() };
      }),
    );
    const { admin } = cast.people;
    const said = await admin.request("POST", `/api/conversations/${group}/messages`, {
      encrypted_content: "bGl2ZQ==",
    });
    expect(said.status).toBe(201);
    const heard: Record<string, boolean> = {};
    for (const { actor, peer } of listening) {
      const isSaid = (frame: Frame) => frame.id === said.json.id;
      if (INSIDE.has(actor)) await peer.match(isSaid);
      else await peer.settled();
      heard[actor] = peer.frames.some(isSaid);
      peer[Symbol.dispose]();
    }
    expect(heard).toEqual({ other: false, nonMember: false, former: false, member: true, otherDevice: true });
  },
  TIMEOUT_MS,
);
