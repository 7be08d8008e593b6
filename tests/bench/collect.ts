/** Loaded into a server that is measured (`--preload`): at SIGUSR2 it collects its garbage, so that what is left can be seen. */
process.on("SIGUSR2", () => Bun.gc(true));
