/**
 * What crosses the network: frames, bodies, ids, limits, and the two registries of
 * refusals and ends. It imports zod and nothing else, so the SDK can depend on it.
 * SPEC.md beside it numbers the rules of the socket.
 */
export * from "./answers.ts";
export * from "./bearer.ts";
export * from "./channels.ts";
export * from "./close_codes.ts";
export * from "./codec.ts";
export * from "./content.ts";
export * from "./errors.ts";
export * from "./frames.ts";
export * from "./ids.ts";
export * from "./limits.ts";
export * from "./operations.ts";
export * from "./page_place.ts";
export * from "./people.ts";
export * from "./public_socket.ts";
export * from "./reports.ts";
export * from "./rest.ts";
export * from "./server_frames.ts";
export * from "./sockets.ts";
