// What the linter looks for. Modules are linked by `src/page/script.rs`, whose tests refuse wrong
// imports and exports.
import globals from "globals";

export default [
  { ignores: ["**/vendor/**", "**/node_modules/**"] },
  {
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      "consistent-return": "off",
      curly: ["error", "multi-line"],
      eqeqeq: ["error", "always", { null: "ignore" }],
      "max-depth": ["error", 5],
      "max-len": ["error", { code: 100, ignoreStrings: true, ignoreTemplateLiterals: true }],
      "max-lines-per-function": ["error", { max: 60, skipComments: true }],
      "no-const-assign": "error",
      "no-dupe-keys": "error",
      "no-duplicate-imports": "error",
      "no-implicit-globals": "error",
      "no-shadow-restricted-names": "error",
      "no-undef": "error",
      "no-unreachable": "error",
      "no-unused-vars": ["error", { args: "after-used" }],
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      "valid-typeof": "error",
    },
  },
  { files: ["tests/**"], languageOptions: { globals: globals.node } },
  // A script by itself, whose one function is its scope.
  { files: ["**/live.js"], rules: { "max-lines-per-function": "off" } },
];
