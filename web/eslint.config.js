import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import ts from "typescript-eslint";

// The cache of `npm run lint` is keyed by the text of each file. It can therefore miss a change of a type in another
// file until the cache is deleted. The compiler has no cache and reports such a change.

/** Globals of the browser that only src/platform may use, so that tests can replace them with a fake. */
const PLATFORM_GLOBALS = [
  "BroadcastChannel",
  "EventSource",
  "Notification",
  "WebSocket",
  "XMLHttpRequest",
  "caches",
  "fetch",
  "indexedDB",
];

/**
 * Globals that the view may use as well, since it runs only in a browser. Everything below it gets them from the
 * platform.
 */
const VIEW_GLOBALS = [
  "cancelAnimationFrame",
  "clearInterval",
  "clearTimeout",
  "document",
  "localStorage",
  "location",
  "navigator",
  "performance",
  "queueMicrotask",
  "requestAnimationFrame",
  "sessionStorage",
  "setInterval",
  "setTimeout",
  "window",
];

const noGlobals = (names) => [
  "error",
  { checkGlobalObject: true, globals: names.map((name) => ({ name, message: "Use the platform (src/platform)." })) },
];

/** The folders that each folder of src may import from: platform ← protocol ← net ← model ← view. */
const LAYERS = {
  platform: [],
  protocol: ["platform"],
  net: ["platform", "protocol"],
  model: ["platform", "protocol", "net"],
  text: [],
  view: ["model", "text"],
  worker: ["platform", "net", "model", "text"],
};

/** A module that any folder may import: the folding rule of names, by which the model searches. */
const FOLDING = "(?!(?:\\.\\./)+text/folding$)";

const layer = (name) => ({
  files: [`src/${name}/**`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: Object.keys(LAYERS)
          .filter((other) => other !== name && !LAYERS[name].includes(other))
          .map((other) => ({
            regex: `^${FOLDING}(\\.\\./)+${other}(/|$)`,
            message: `src/${name} must not depend on src/${other}.`,
          })),
      },
    ],
  },
});

const typed = (files, project) => ({
  files,
  languageOptions: {
    parserOptions: { project, tsconfigRootDir: import.meta.dirname, extraFileExtensions: [".svelte"] },
  },
});

export default ts.config(
  { ignores: ["dist/", "coverage/", "test-results/", "playwright-report/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  ts.configs.recommendedTypeChecked,
  svelte.configs.recommended,
  { rules: { "no-undef": "off" } }, // the compiler checks names

  // The compiler settings that a file belongs to. The last match wins.
  typed(["**/*.ts"], "./tsconfig.node.json"),
  typed(["src/**/*.ts", "src/**/*.svelte"], "./tsconfig.json"),
  typed(["src/**/*.test.ts", "src/**/testing/**/*.ts"], "./tsconfig.node.json"),
  typed(["src/service-worker.ts"], "./tsconfig.worker.json"),
  { files: ["**/*.svelte", "**/*.svelte.ts"], languageOptions: { parserOptions: { parser: ts.parser } } },
  {
    // This parser types everything that comes from another component as `any`. svelte-check knows the real types.
    files: ["**/*.svelte"],
    rules: {
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
  { files: ["**/*.js", "**/*.mjs"], extends: [ts.configs.disableTypeChecked] },

  {
    files: ["**/*.ts", "**/*.svelte"],
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // An async method without await can be part of a contract: it returns a promise, and an exception becomes a
      // rejection.
      "@typescript-eslint/require-await": "off",
      // Code that passes on an unknown error does not know its type.
      "@typescript-eslint/prefer-promise-reject-errors": [
        "error",
        { allowThrowingAny: false, allowThrowingUnknown: true },
      ],
    },
  },

  {
    files: ["e2e/**", "measure/**", "rollback/**", "screenshots/**"],
    rules: {
      // Playwright reads from the pattern which fixtures a function needs. An empty pattern means none.
      "no-empty-pattern": ["error", { allowObjectPatternsAsParameters: true }],
      // Functions for page.evaluate cannot import, and `request.error` is typed as nullable.
      "@typescript-eslint/prefer-promise-reject-errors": "off",
    },
  },

  Object.keys(LAYERS).map(layer),
  { files: ["src/**"], rules: { "no-restricted-globals": noGlobals([...PLATFORM_GLOBALS, ...VIEW_GLOBALS]) } },
  { files: ["src/view/**", "src/main.ts"], rules: { "no-restricted-globals": noGlobals(PLATFORM_GLOBALS) } },
  {
    files: ["src/platform/**", "src/service-worker.ts", "src/**/*.test.ts", "src/**/testing/**"],
    rules: { "no-restricted-globals": "off" },
  },
);
