/** What the edge knows of a request beside itself: its id, and the address it came from. */
import { isIPv6 } from "node:net";
import { uuidv7 } from "../protocol/mod.ts";

/** See the head of this file. */
export interface RequestFacts {
  /** Given in the answer's `x-request-id`, in error bodies and in the log. */
  readonly id: string;
  /** The sender's address; of IPv6 the /64, since a household has all of that. */
  readonly address: string;
  /** Milliseconds of a clock that only goes forward. */
  readonly startedAt: number;
}

/** An id that a proxy in front may give; anything else is replaced by an id of our own. */
const SANE_ID = /^[0-9A-Za-z_-]{8,64}$/;

const facts = new WeakMap<Request, RequestFacts>();

/** Notes a request when it comes in. `sender`: the address it came from, as far as it is known. */
export function noteRequest(request: Request, sender: string | undefined): RequestFacts {
  const given = request.headers.get("x-request-id") ?? "";
  const noted = {
    id: SANE_ID.test(given) ? given : uuidv7(),
    address: networkOf(sender ?? "unknown"),
    startedAt: performance.now(),
  };
  facts.set(request, noted);
  return noted;
}

/** The facts of a request; one that was never noted (called without a server) is noted now. */
export function factsOf(request: Request): RequestFacts {
  return facts.get(request) ?? noteRequest(request, undefined);
}

/** The address of a request, as all throttles know it. */
export function addressOf(request: Request): string {
  return factsOf(request).address;
}

/** `::ffff:a.b.c.d` is the IPv4 address; another IPv6 address is cut to its first 64 bits. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
