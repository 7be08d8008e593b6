import { describe, expect, test } from "bun:test";
import { createSenderOf } from "../../../src/http/trusted_proxies.ts";

describe("createSenderOf()", () => {
  const senderOf = createSenderOf(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]);

  test.each([
    ["10.1.2.3", "203.0.113.9", "203.0.113.9"],
    ["10.1.2.3", null, "10.1.2.3"],
    ["10.1.2.3", "", "10.1.2.3"],
    ["203.0.113.9", "198.51.100.7", "203.0.113.9"], // the peer is nobody's proxy
    ["10.1.2.3", "198.51.100.7, 203.0.113.9", "203.0.113.9"], // the first was made up by the sender
    ["10.1.2.3", "203.0.113.9, 10.9.9.9, 192.0.2.1", "203.0.113.9"],
    ["10.1.2.3", "203.0.113.9, nonsense, 10.9.9.9", "10.9.9.9"],
    ["::ffff:10.1.2.3", "::ffff:203.0.113.9", "203.0.113.9"],
    ["2001:db8::1", "2001:db9::5", "2001:db9::5"],
    ["192.0.2.2", "203.0.113.9", "192.0.2.2"],
    ["unknown", "203.0.113.9", "unknown"],
  ])("of %p with %p is %p", (peer, forwarded, sender) => {
    expect(senderOf(peer, forwarded, null)).toEqual({ address: sender, scheme: null });
  });

  test.each([
    ["10.1.2.3", "203.0.113.9", "http", "http"],
    ["10.1.2.3", "203.0.113.9", "HTTPS", "https"],
    ["10.1.2.3", "203.0.113.9", "wss", "https"],
    ["10.1.2.3", "203.0.113.9", "gopher", null],
    ["10.1.2.3", "203.0.113.9", null, null],
    ["203.0.113.9", "198.51.100.7", "http", null], // the peer is nobody's proxy
    ["10.1.2.3", "203.0.113.9", "https, http", "http"], // the sender said https, the proxy saw http
    ["10.1.2.3", "203.0.113.9, 10.9.9.9", "https, http", "https"], // the inner proxy is reached by http
    ["10.1.2.3", "203.0.113.9, 10.9.9.9", "http, https", "http"],
    ["10.1.2.3", "203.0.113.9, 10.9.9.9", "https", "https"], // the inner one kept the word of the outer one
  ] as const)("reached %p with %p and %p by %p", (peer, forwarded, proto, scheme) => {
    expect(senderOf(peer, forwarded, proto).scheme).toBe(scheme);
  });

  test("believes nobody where none is listed", () => {
    const sender = createSenderOf([])("127.0.0.1", "203.0.113.9", "http");
    expect(sender).toEqual({ address: "127.0.0.1", scheme: null });
  });

  test("does not follow a chain without end", () => {
    const chain = Array.from({ length: 10_000 }, () => "10.0.0.1").join(", ");
    expect(senderOf("10.1.2.3", `203.0.113.9, ${chain}`, null).address).toBe("10.0.0.1");
  });

  test.each(["", "proxy.example", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "2001:db8::/129", "10.0.0.0/x"])(
    "refuses %p",
    (network) => {
      expect(() => createSenderOf([network])).toThrow(RangeError);
    },
  );
});
