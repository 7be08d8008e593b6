import type { Bench } from "./bench.ts"; export async function w1(_: Bench): Promise<void> {}
