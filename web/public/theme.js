// See index.html.
(function () {
  var choice = null;
  try {
    choice = localStorage.getItem("phoenix.theme");
  } catch {
    // Storage is denied.
  }
  var dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  // A manifest has the colors of one splash screen.
  if (dark) document.querySelector('link[rel="manifest"]').href = "/manifest-dark.webmanifest";
})();
