/** The colours that canvases and the scene need; everything else is in style.css. */
export interface Theme {
  ink: string;
  faint: string;
  line: string;
  paper: string;
  stage: string;
  grid: string;
  accent: string;
  hint: string;
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: color("ink"),
    faint: color("faint"),
    line: color("line"),
    paper: color("paper"),
    stage: color("stage"),
    grid: color("grid"),
    accent: color("accent"),
    hint: color("hint"),
  };
}

/** Calls back when the system changes between light and dark. */
export function onThemeChange(changed: () => void): void {
  dark.addEventListener("change", changed);
}
