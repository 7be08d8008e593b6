/**
 * The load generator: a process of its own that holds the sockets, so that what it costs is counted
 * apart. It takes one order after another from the process that started it; see `load_process.ts`.
 */
import { FanOut } from "./fan_out.ts";
import type { LoadAnswer, LoadOrder } from "./load_process.ts";
import { PresenceTraffic } from "./presence.ts";
import { Seat, type SeatPlan } from "./seat.ts";
import { Traffic } from "./traffic.ts";

/** Sockets that are being opened at once. */
const OPENING = 64;
const ACK_AFTER_MS = 200;
/** Seats acknowledge in turn, a part of them at a time: as devices that know nothing of each other. */
const ACK_PARTS = 10;

let seats: Seat[] = [];
let seated: readonly SeatPlan[] = [];
let traffic = new Traffic([]);
/** In place of the traffic, once it was asked for. */
let fanOut: FanOut | null = null;
let presence = new PresenceTraffic([]);
const faults: string[] = [];

process.on("message", async (order: LoadOrder) => {
  if (order.do === "stop") return traffic.stop();
  try {
    process.send?.(await obey(order));
  } catch (error) {
    process.send?.({ error: `${error instanceof Error ? error.message : error}`, faults } satisfies LoadAnswer);
  }
});
process.on("disconnect", () => process.exit(0));

let part = 0;
setInterval(() => {
  part = (part + 1) % ACK_PARTS;
  for (let i = part; i < seats.length; i += ACK_PARTS) seats[i]?.acknowledge();
}, ACK_AFTER_MS / ACK_PARTS);

async function obey(order: Exclude<LoadOrder, { do: "stop" }>): Promise<LoadAnswer> {
  switch (order.do) {
    case "connect":
      return { ms: await connect(order), faults };
    case "run":
      return { traffic: await traffic.run(order.plan), faults };
    case "fan_out":
      fanOut ??= new FanOut(seats, order.senders);
      return { fanOut: await fanOut.run(order.plan), faults };
    case "presence":
      return { presence: await presence.run(order.plan, (place) => seated[place]?.accountId ?? ""), faults };
    case "catch_up":
      return { ...(await catchUp(order)), faults };
    case "close":
      for (const seat of seats) seat.end();
      seats = [];
      faults.length = 0;
      return { faults };
    default:
      return order satisfies never;
  }
}

async function connect({ urls, plans, size, speaks }: Extract<LoadOrder, { do: "connect" }>): Promise<number> {
  seats = plans.map(
    (plan) =>
      new Seat(plan, size, {
        receipt: (seat, stands) => (fanOut ?? traffic).receipt(seat, stands),
        delivery: (seat) => (fanOut ?? traffic).delivery(seat),
        presence: (of) => presence.presence(of),
        fault: (text) => {
          if (faults.length < 20) faults.push(text);
        },
      }),
  );
  seated = plans;
  traffic = new Traffic(seats);
  presence = new PresenceTraffic(seats);
  fanOut = null;
  const begun = performance.now();
  const addresses = urls.map((url) => new URL(url));
  let next = 0;
  const opener = async () => {
    for (let i = next++; i < seats.length; i = next++) {
      const address = addresses[i % addresses.length];
      if (address !== undefined) await seats[i]?.open(address, plans[i]?.token ?? null, speaks);
    }
  };
  await Promise.all(Array.from({ length: OPENING }, opener));
  return performance.now() - begun;
}

/** Connects devices that missed something; a device is back once it is told `caught_up`. */
async function catchUp({ url, plans }: Extract<LoadOrder, { do: "catch_up" }>) {
  const firsts: number[] = [];
  const begun = performance.now();
  const devices = await Promise.all(
    plans.map(async (plan) => {
      const seat = new Seat(plan, 0, { receipt() {}, delivery() {}, fault: (text) => faults.push(text) });
      const asked = performance.now();
      await seat.open(new URL(url), plan.token, true);
      firsts.push(seat.firstEntryAt - asked);
      return seat;
    }),
  );
  const ms = performance.now() - begun;
  const entries = devices.reduce((sum, seat) => sum + seat.entries, 0);
  for (const seat of devices) seat.end();
  return { ms, entries, firsts };
}
