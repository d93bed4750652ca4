// Bundles browser.mjs as a page would have it; the argument says where to.

import { build } from "esbuild";

await build({
  entryPoints: [new URL("browser.mjs", import.meta.url).pathname],
  bundle: true,
  platform: "browser",
  format: "esm",
  // What the script itself takes from Node, which runs it; the SDK must get by without.
  external: ["node:zlib", "node:timers/promises"],
  outfile: process.argv[2],
  logLevel: "warning",
});
