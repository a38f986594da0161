// Runs before the first paint, so that nobody sees the other theme flash. The
// same rule lives on in src/view/theme.ts, which follows changes. A file of
// its own because the content security policy allows no inline script.
(function () {
  var choice = null;
  try {
    choice = localStorage.getItem("phoenix.theme");
  } catch {
    // Storage is denied: follow the system.
  }
  var dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
