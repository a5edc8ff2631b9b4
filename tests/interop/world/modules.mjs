// A package of node_modules as one script for a page: its CommonJS modules and those that they
// require, each in a function of its own. No bundler is needed for packages that require by name.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const REQUIRED = /\brequire\(["']([^"']+)["']\)/g;

/** What a package wants a browser to have in the place of `path`, by `browser` of its package.json. */
function forBrowser(path) {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    let described;
    try { described = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")); } catch { continue; }
    if (typeof described.browser === "string" && path === require.resolve(folder)) return join(folder, described.browser);
    if (typeof described.browser === "object") {
      const [, instead] = Object.entries(described.browser).find(([name]) => join(folder, name) === path) ?? [];
      if (typeof instead === "string") return join(folder, instead);
    }
    return path;
  }
  return path;
}

/** The script; it leaves what the package exports in the global variable of that name. */
export function script(name, variable) {
  const modules = new Map();
  const add = (path) => {
    if (modules.has(path)) return path;
    const text = readFileSync(path, "utf8");
    const module = { text: path.endsWith(".json") ? `module.exports = ${text};` : text, requires: {} };
    modules.set(path, module);
    // `events/` is the package, not what node has built in.
    const resolve = createRequire(path).resolve;
    for (const [, wanted] of module.text.matchAll(REQUIRED)) {
      const resolved = wanted === "events" ? resolve("events/") : resolve(wanted);
      module.requires[wanted] = add(forBrowser(resolved));
    }
    return path;
  };
  const entry = add(forBrowser(require.resolve(name)));
  const written = [...modules].map(([path, { text, requires }]) =>
    `${JSON.stringify(path)}: [${JSON.stringify(requires)}, function (require, module, exports) {\n${text}\n}]`);
  return `(() => {
    const modules = {${written.join(",\n")}};
    const loaded = {};
    const load = (path) => {
      if (!loaded[path]) {
        const [requires, run] = modules[path];
        loaded[path] = { exports: {} };
        run.call(loaded[path].exports, (name) => load(requires[name]), loaded[path], loaded[path].exports);
      }
      return loaded[path].exports;
    };
    globalThis.${variable} = load(${JSON.stringify(entry)});
  })();`;
}
