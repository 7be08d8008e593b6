import type { Bench } from "./bench.ts"; export async function w2b(_: Bench): Promise<void> {}
