/** One HTTP request with a deadline; every failure is a {@link SottoError}. */
import { isRetryable, SottoError } from "./sotto_error.ts";
import type { Timing } from "./timing.ts";

/** What the SDK uses of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Where requests go. */
export interface HttpOptions {
  /** The server's address, as `https://chat.example`; a path before `/api` is kept. */
  readonly url: string;
  readonly fetch: Fetch;
  readonly timing: Timing;
  /** Milliseconds until an answer is given up. */
  readonly deadlineMs: number;
}

/** One request. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Begins with `/`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: object;
  readonly token?: string;
}

/** Sends a request and gives the JSON of its answer; `undefined` where there is no body. */
export async function request(http: HttpOptions, input: HttpRequest): Promise<unknown> {
  const abort = new AbortController();
  const cancel = http.timing.after(http.deadlineMs, () => abort.abort());
  try {
    const response = await http.fetch(address(http.url, input), {
      method: input.method,
      headers: {
        accept: "application/json",
        ...(input.token === undefined ? {} : { authorization: `Bearer ${input.token}` }),
        ...(input.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
      signal: abort.signal,
    });
    const text = await response.text();
    if (!response.ok) throw refusal(response.status, text);
    return text === "" ? undefined : parse(text, response.status);
  } catch (cause) {
    if (cause instanceof SottoError) throw cause;
    if (!abort.signal.aborted) throw new SottoError("network", "Check the connection", { retryable: true, cause });
    const message = `Try again: no answer within ${http.deadlineMs} ms`;
    throw new SottoError("timeout", message, { retryable: true, cause });
  } finally {
    cancel();
  }
}

function address(url: string, input: HttpRequest): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(input.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  return `${url.replace(/\/+$/, "")}${input.path}${query.size === 0 ? "" : `?${query}`}`;
}

function parse(text: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SottoError("bad_answer", "Check the server's address: the answer is not JSON", { status, cause });
  }
}

function refusal(status: number, text: string): SottoError {
  const { code, message, requestId, details } = errorOf(text);
  if (typeof code !== "string") {
    // A proxy answered in place of the server.
    return new SottoError("bad_answer", `Check the server's address: it answered ${status}`, {
      status,
      retryable: isRetryable("", status),
    });
  }
  return new SottoError(code, typeof message === "string" ? message : code, {
    status,
    retryable: isRetryable(code, status),
    ...(typeof requestId === "string" ? { requestId } : {}),
    ...(typeof details === "object" && details !== null ? { details: { ...details } } : {}),
  });
}

function errorOf(text: string): Record<"code" | "message" | "requestId" | "details", unknown> {
  const none = { code: undefined, message: undefined, requestId: undefined, details: undefined };
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== "object" || body === null || !("error" in body)) return none;
    return { ...none, ...(body.error as object) };
  } catch {
    return none;
  }
}
