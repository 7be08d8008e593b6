import type { Bench } from "./bench.ts"; export async function signIn(_: Bench): Promise<void> {}
