/**
 * Which address a request came from when it passed proxies. `X-Forwarded-For` is only what somebody
 * says; it counts as far as those who say it are listed, read from the nearest outward.
 */
import { BlockList, isIP } from "node:net";

/** Gives the address of a request's sender, by its peer and what proxies say. */
export type SenderOf = (peer: string, forwardedFor: string | null) => string;

/** Longer chains are made up. */
const MOST_HOPS = 10;

/**
 * Makes the look-up for a list of proxies, each an address or a network (`10.0.0.0/8`). An empty list: the
 * peer is the sender, whatever it says. Throws a `RangeError` that names what is neither.
 */
export function createSenderOf(trustedProxies: readonly string[]): SenderOf {
  if (trustedProxies.length === 0) return (peer) => peer;
  const trusted = new BlockList();
  for (const proxy of trustedProxies) addNetwork(trusted, proxy);
  const isTrusted = (address: string) => trusted.check(plain(address), isIP(plain(address)) === 6 ? "ipv6" : "ipv4");
  return (peer, forwardedFor) => {
    let sender = peer;
    const hops = (forwardedFor ?? "").split(",").slice(-MOST_HOPS).reverse();
    for (const hop of hops) {
      const address = plain(hop.trim());
      if (isIP(address) === 0 || !isTrusted(sender)) return sender;
      sender = address;
    }
    return sender;
  };
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
