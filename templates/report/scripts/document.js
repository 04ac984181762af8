// The document and the figures that travel with this page.
function island(id) {
  return document.getElementById(id).textContent;
}

// The page carries result.json with "<", ">", "&" and line separators written as escapes, which the file itself
// never uses. Reading escapes in pairs keeps an escaped backslash before such letters as it is.
function original(text) {
  return text.replace(/\\(?:u(003c|003e|0026|2028|2029)|[^])/g, (all, code) =>
    code ? String.fromCharCode(parseInt(code, 16)) : all);
}

const result = JSON.parse(island("result-document"));
const figures = JSON.parse(island("report-figures"));
const shares = new Set(figures.shares);
const metrics = new Map(result.descriptors.metrics.map((m) => [m.id, m]));

function metricOf(id) {
  const known = metrics.get(id);
  return { id, unit: known ? known.unit : "1", share: shares.has(id), summary: known ? known.summary : "" };
}

function save() {
  const blob = new Blob([original(island("result-document"))], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "result.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// As afterburn_core.report.inert.visible: control characters and direction overrides become visible symbols.
function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const point = c.charCodeAt(0);
    if (point < 0x20) return String.fromCharCode(0x2400 + point);
    if (point === 0x7f) return "\u2421";
    return "\u27e8U+" + point.toString(16).toUpperCase().padStart(4, "0") + "\u27e9";
  });
}

function place(scope) {
  if (scope.tensor !== undefined) {
    return visible(scope.tensor + (scope.head === undefined ? "" : " \u00b7 head " + scope.head));
  }
  const words = [];
  if (scope.subset !== undefined) words.push(scope.subset);
  if (scope.layer !== undefined) words.push("layer " + scope.layer);
  for (const name of ["module", "site"]) if (scope[name] !== undefined) words.push(scope[name]);
  for (const name of ["head", "token", "input"]) if (scope[name] !== undefined) words.push(name + " " + scope[name]);
  return visible(words.join(" \u00b7 ")) || "whole model";
}
