/** Which methods an address knows, so that a wrong method is told from a wrong address. */

/** A route as the router lists it: `path` with `:name` segments and perhaps a last `*`. */
export interface KnownRoute {
  readonly method: string;
  readonly path: string;
}

/** Makes the look-up; `routes` is read once, at the first call, when all are mounted. */
export function createMethodLookup(routes: () => readonly KnownRoute[]): (path: string) => readonly string[] {
  let patterns: { readonly method: string; readonly parts: readonly string[] }[] | undefined;
  return (path) => {
    patterns ??= routes()
      .filter((route) => route.method !== "OPTIONS")
      .map((route) => ({ method: route.method, parts: partsOf(route.path) }));
    const parts = partsOf(path);
    const methods = new Set<string>();
    for (const pattern of patterns) {
      if (matches(pattern.parts, parts)) methods.add(pattern.method);
    }
    if (methods.has("GET")) methods.add("HEAD");
    return [...methods].sort();
  };
}

/** The router takes an address with and without a slash at its end. */
function partsOf(path: string): readonly string[] {
  return path.replace(/(?<=.)\/$/, "").split("/");
}

function matches(pattern: readonly string[], path: readonly string[]): boolean {
  if (pattern.length !== path.length) return false;
  return pattern.every((part, i) => (part.startsWith(":") ? path[i] !== "" : part === path[i]));
}
