/**
 * HTTP with a deadline. Each request comes from an address of its own, as a proxy would say it,
 * because sign-ins are counted by address and all of these come from one.
 */
import { ERRORS, type ErrorCode } from "../../src/protocol/mod.ts";

/** What came of a request: an answer, or nobody knows what. */
export type WebAnswer =
  // biome-ignore lint/suspicious/noExplicitAny: the reader expects what the body should hold.
  | { readonly type: "ok"; readonly status: number; readonly json: any }
  | { readonly type: "refused"; readonly code: string; readonly retryable: boolean }
  | { readonly type: "unknown"; readonly why: "timeout" | "cut" };

/** What {@link ask} sends. */
export interface WebRequest {
  readonly url: string;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly body?: object;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How long a request may take: every one must be answered within ten seconds (ms). */
export const REQUEST_MS = 10_000;

let asked = 0;

/** Asks once; never throws. */
export async function ask({ url, method, path, body, token, headers }: WebRequest): Promise<WebAnswer> {
  asked++;
  try {
    const answer = await fetch(`${url}${path}`, {
      method,
      signal: AbortSignal.timeout(REQUEST_MS),
      keepalive: false, // a connection that is kept would count among the node's descriptors
      headers: {
        "x-forwarded-for": `10.${(asked >> 16) & 255}.${(asked >> 8) & 255}.${asked & 255}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const json = text === "" ? null : JSON.parse(text);
    if (answer.ok) return { type: "ok", status: answer.status, json };
    const code: string = json?.error?.code ?? `status_${answer.status}`;
    // Over HTTP the registry says what may be repeated; what is not in it came from no handler of ours.
    return { type: "refused", code, retryable: ERRORS[code as ErrorCode]?.retryable ?? true };
  } catch (error) {
    return { type: "unknown", why: error instanceof Error && error.name === "TimeoutError" ? "timeout" : "cut" };
  }
}
