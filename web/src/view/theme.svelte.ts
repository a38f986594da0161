/**
 * The theme: the choice of the user, and the name in <html data-theme>. public/theme.js sets it before the first
 * paint.
 */
import { readNote, writeNote } from "./been";

export type ThemeChoice = "system" | "light" | "dark";

const key = "phoenix.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored(): ThemeChoice {
  const value = readNote(key);
  return value === "light" || value === "dark" ? value : "system";
}

class Theme {
  choice: ThemeChoice = $state(stored());
  /** The current theme. */
  shown: "light" | "dark" = $state("light");

  constructor() {
    dark.addEventListener("change", () => this.apply());
    // Another tab changed the choice.
    addEventListener("storage", (event) => {
      if (event.key !== key && event.key !== null) return;
      this.choice = stored();
      this.apply();
    });
    this.apply();
  }

  choose(choice: ThemeChoice): void {
    this.choice = choice;
    writeNote(key, choice === "system" ? null : choice);
    this.apply();
  }

  private apply(): void {
    const name = this.choice === "system" ? (dark.matches ? "dark" : "light") : this.choice;
    document.documentElement.dataset["theme"] = name;
    this.shown = name;
    const paper = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
    document.querySelector('meta[name="theme-color"]')?.setAttribute("content", paper);
  }
}

export const theme = new Theme();
