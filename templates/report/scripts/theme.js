// Theme: system, light or dark; remembered where the browser lets a file remember anything.
const THEMES = ["system", "light", "dark"];
const root = document.documentElement;
const themeListeners = [];

function remembered() {
  try { return localStorage.getItem("afterburn-theme") || "system"; } catch { return "system"; }
}

function setTheme(name) {
  if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
  try { localStorage.setItem("afterburn-theme", name); } catch { /* a file may not store anything */ }
  const button = document.getElementById("theme");
  document.getElementById("theme-name").textContent = name;
  button.dataset.theme = name;
  themeListeners.forEach((listener) => listener());
}

function colour(name) {
  return getComputedStyle(root).getPropertyValue("--" + name).trim();
}

function wireTheme() {
  const button = document.getElementById("theme");
  setTheme(THEMES.includes(remembered()) ? remembered() : "system");
  button.addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(button.dataset.theme) + 1) % THEMES.length]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => themeListeners.forEach((f) => f()));
}
