import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The files that a Django site serves as static/novasonic/, as they are: no copy, no package of their own. README.md tells
// how to find them where novasonic is installed.
const client = fileURLToPath(
  new URL(process.env.NOVASONIC_CLIENT ?? "../../python/novasonic/contrib/django/static/novasonic", import.meta.url),
);

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { novasonic: client } },
  server: {
    fs: {
      // The development server shows nothing outside of this folder but that,
      allow: [".", client],
      // and of it not the site's database, which holds what was said. The others are Vite's own, which this replaces.
      deny: [
        "*.sqlite3*",
        ...[".env", ".env.*", "*.{crt,pem,key,p12,pfx,cer,der}", ".npmrc", ".yarnrc.yml", "**/.git/**"],
      ],
    },
  },
  // Worklets import modules, as the rest does: `?worker&url` bundles those in, where `?url` would copy the one file and
  // leave its imports pointing at nothing.
  worker: { format: "es" },
});
