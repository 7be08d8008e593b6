import { describe, expect, test } from "bun:test";
import { networkOf } from "../../../src/http/request_facts.ts";
import { createMethodLookup } from "../../../src/http/routes_known.ts";

describe("networkOf()", () => {
  test.each([
    ["203.0.113.9", "203.0.113.9"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["unknown", "unknown"],
  ])("of %s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe("createMethodLookup()", () => {
  const lookUp = createMethodLookup(() => [
    { method: "OPTIONS", path: "/*" },
    { method: "GET", path: "/" },
    { method: "GET", path: "/a/:id" },
    { method: "POST", path: "/a/:id" },
    { method: "PUT", path: "/a/:id/b/" },
  ]);

  test.each([
    ["/", ["GET", "HEAD"]],
    ["/a/1", ["GET", "HEAD", "POST"]],
    ["/a/1/", ["GET", "HEAD", "POST"]],
    ["/a/1/b", ["PUT"]],
    ["/a", []],
    ["/a//b", []],
    ["/a/1/b/c", []],
  ])("knows %s by %p", (path, methods) => {
    expect(lookUp(path) as string[]).toEqual(methods);
  });
});
