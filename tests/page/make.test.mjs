import assert from "node:assert/strict";
import { test } from "node:test";

import { visible } from "../../python/novasonic/contrib/django/static/novasonic/make.js";

test("who approves sees what is written, and nothing that hides it", () => {
  assert.equal(visible('{\n "to": "Zoë 🎈"\n}'), '{\n "to": "Zoë 🎈"\n}');
  assert.equal(visible("pay \u202Eboj\u202C"), "pay \\u{202e}boj\\u{202c}");
  assert.equal(visible("a\u200bb\u0007"), "a\\u{200b}b\\u{7}");
});
