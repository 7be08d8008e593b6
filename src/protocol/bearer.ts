/**
 * The access token in an `Authorization` header (RFC 6750 section 2.1), or `undefined` where it holds
 * none. A request and the upgrade of a socket are read alike.
 */
export function bearerTokenOf(header: string | null): string | undefined {
  return header === null ? undefined : /^Bearer +([\x21-\x7e]+) *$/i.exec(header)?.[1];
}
