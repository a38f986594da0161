// Sets the theme before the first paint, so that the other theme does not flash. src/view/theme.ts applies the same
// rule and follows later changes. This is a separate file because the content security policy does not allow inline
// scripts.
(function () {
  var choice = null;
  try {
    choice = localStorage.getItem("phoenix.theme");
  } catch {
    // Storage is denied, so follow the system.
  }
  var dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
