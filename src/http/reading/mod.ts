/**
 * The documents of the server as pages to read: `/redoc` of OpenAPI and `/docs/sockets` of AsyncAPI. They are
 * written once, on the server, and hold all they need; no script runs in them. Owns no state.
 */
export { apiReading } from "./api_reading.ts";
export { type Reading, type WrittenPage, writePage } from "./reading_page.ts";
export { socketsReading } from "./sockets_reading.ts";
