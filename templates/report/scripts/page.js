// Puts the parts together.
root.classList.add("scripted");

function wireFindings() {
  const findings = [...document.querySelectorAll(".finding")];
  document.querySelectorAll(".chip").forEach((chip) => chip.addEventListener("click", () => {
    const on = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(on));
    findings.filter((f) => f.dataset.kind === chip.dataset.kind).forEach((f) => { f.hidden = !on; });
  }));
  const expand = document.getElementById("expand");
  if (expand) {
    expand.addEventListener("click", () => {
      const open = expand.getAttribute("aria-expanded") !== "true";
      findings.forEach((f) => { f.querySelector("details").open = open; });
      expand.setAttribute("aria-expanded", String(open));
      expand.textContent = open ? "Collapse all" : "Expand all";
    });
  }
}

// A printed page cannot be expanded, and charts drawn for a dark screen would vanish on paper.
function wirePrinting() {
  let closed = [], theme;
  const use = (name) => {
    if (name === undefined) delete root.dataset.theme; else root.dataset.theme = name;
    themeListeners.forEach((listener) => listener());
  };
  addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    use("light");
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => {
    closed.forEach((d) => { d.open = false; });
    use(theme);
  });
}

wireTheme();
wireFindings();
wirePrinting();
document.getElementById("save").addEventListener("click", save);
const everyRow = document.getElementById("measurement-table") ? measurementRows() : [];
if (everyRow.length) {
  tensorTable(document.getElementById("tensor-table"), everyRow);
  measurementTable(document.getElementById("measurement-table"), everyRow);
}
wireSeries();
wireMaps();
wireDrawings();
wireSpectral(wireSpectrum());
wireHeads();
wireBehaviour();
wireSortable();
