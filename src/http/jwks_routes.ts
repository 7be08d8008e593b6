/** `GET /.well-known/jwks.json` (RFC 7517 section 5): where access tokens are signed with EdDSA, whoever reads them finds the keys here. */
import { Elysia } from "elysia";
import { publicKeysOf, type SigningKey } from "./access_tokens.ts";

/** Seconds for which others may keep the answer: less than a rotation leaves a new key unused. */
const FRESH_SECONDS = 300;

/** The route, where the ring has a key with a public half; else no route. */
export function jwksRoutes(context: { readonly signingKeys: readonly SigningKey[] }) {
  const keys = publicKeysOf(context.signingKeys);
  const routes = new Elysia({ name: "jwks" });
  if (keys.length === 0) return routes;
  return routes.get("/.well-known/jwks.json", ({ set }) => {
    set.headers["cache-control"] = `public, max-age=${FRESH_SECONDS}`;
    return { keys };
  });
}
