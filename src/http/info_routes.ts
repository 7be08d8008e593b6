/** `GET /`: what this is, for who opens the address to look. */
import { Elysia } from "elysia";

/** The route that names the server, its version and where to go on. */
export function infoRoutes(context: { readonly version: string }) {
  return new Elysia({ name: "info" }).get("/", () => ({
    name: "Sotto",
    description: "End-to-end encrypted messaging",
    version: context.version,
    links: {
      signup: "/api/auth/signup",
      signin: "/api/auth/signin",
      socket: "/ws",
      room: "/ws/chat",
      docs: "/docs",
      reference: "/redoc",
      sockets: "/docs/sockets",
      health: "/health",
      ready: "/ready",
    },
  }));
}
