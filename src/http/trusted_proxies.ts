/**
 * Where a request came from, and whether by https, when it passed proxies. `X-Forwarded-For` and
 * `X-Forwarded-Proto` are only what somebody says; they count as far as those who say it are
 * listed, read from the nearest outward.
 */
import { BlockList, isIP } from "node:net";

/** See the head of this file. */
export interface Sender {
  readonly address: string;
  /** How the sender reached the outermost proxy that is listed; `null` where none is, or it does not say. */
  readonly scheme: "http" | "https" | null;
}

/** Gives a request's sender, by its peer and what proxies say. */
export type SenderOf = (peer: string, forwardedFor: string | null, forwardedProto: string | null) => Sender;

/** Longer chains are made up. */
const MOST_HOPS = 10;

/**
 * Makes the look-up for a list of proxies, each an address or a network (`10.0.0.0/8`). An empty list: the
 * peer is the sender, whatever it says. Throws a `RangeError` that names what is neither.
 */
export function createSenderOf(trustedProxies: readonly string[]): SenderOf {
  if (trustedProxies.length === 0) return (peer) => ({ address: peer, scheme: null });
  const trusted = new BlockList();
  for (const proxy of trustedProxies) addNetwork(trusted, proxy);
  const isTrusted = (address: string) => trusted.check(plain(address), isIP(plain(address)) === 6 ? "ipv6" : "ipv4");
  return (peer, forwardedFor, forwardedProto) => {
    let address = peer;
    let proxies = isTrusted(peer) ? 1 : 0;
    for (const hop of fromNearest(forwardedFor)) {
      if (isIP(plain(hop)) === 0 || !isTrusted(address)) break;
      address = plain(hop);
      if (isTrusted(address)) proxies++;
    }
    return { address, scheme: schemeSeenBy(proxies, fromNearest(forwardedProto)) };
  };
}

function fromNearest(list: string | null): string[] {
  const parts = (list ?? "").split(",").slice(-MOST_HOPS);
  return parts.map((part) => part.trim()).reverse();
}

/** What the outermost of the listed proxies says; where an inner one replaced the list, it says it for that one. */
function schemeSeenBy(proxies: number, said: readonly string[]): Sender["scheme"] {
  if (proxies === 0) return null;
  const scheme = said[Math.min(proxies, said.length) - 1]?.toLowerCase();
  if (scheme === "http" || scheme === "ws") return "http";
  return scheme === "https" || scheme === "wss" ? "https" : null;
}

function addNetwork(list: BlockList, network: string): void {
  const [address = "", bits, ...more] = network.split("/");
  const version = isIP(address);
  const most = version === 6 ? 128 : 32;
  const prefix = bits === undefined ? most : Number(bits);
  const valid =
    version !== 0 && more.length === 0 && Number.isInteger(prefix) && prefix >= 0 && prefix <= most && bits !== "";
  if (!valid) throw new RangeError(`Give each trusted proxy as an address or a network: current value is ${network}`);
  list.addSubnet(address, prefix, version === 6 ? "ipv6" : "ipv4");
}

/** Without the form that an IPv4 address has on an IPv6 socket. */
function plain(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}
