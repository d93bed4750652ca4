import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The modules of the Django application that this page shares, as they are. With novasonic installed,
// `python manage.py findstatic --first novasonic/capture.js` says where they lie.
const client = fileURLToPath(
  new URL(process.env.NOVASONIC_CLIENT ?? "../../python/novasonic/contrib/django/static/novasonic", import.meta.url),
);

export default defineConfig({
  resolve: { alias: { novasonic: client } },
  build: {
    // Django serves it as static/direct/direct.js, and hashes names itself where it is set up to.
    outDir: "dist/direct",
    target: "es2023",
    rolldownOptions: {
      input: "src/main.js",
      output: { entryFileNames: "direct.js", codeSplitting: false },
    },
  },
});
