/** What the tests use of the package `ws`, which brings no types: it fits the SDK's port. */
declare module "ws" {
  export const WebSocket: new (url: string) => import("../../src/client/mod.ts").SocketLike;
}
