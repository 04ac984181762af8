// Spectra of single matrices, heat maps of what they look like, and maps of attention heads.

// Draws now, and again when the theme or the width of the host changes.
function redrawn(host, draw) {
  themeListeners.push(draw);
  let width = host.clientWidth;
  addEventListener("resize", () => {
    if (Math.abs(host.clientWidth - width) > 40) { width = host.clientWidth; draw(); }
  });
  draw();
}

function fill(select, names, kept) {
  select.replaceChildren(...names.map((name) => element("option", { value: name }, visible(name))));
  if (names.includes(kept)) select.value = kept;
}

const CURVES = [
  { side: "base", name: "W, base", line: { color: "muted", dash: "dash", width: 1.6 } },
  { side: "trained", name: "W\u2032, trained", line: { color: "bar", width: 1.6 } },
  { side: "delta", name: "\u0394 = W\u2032 \u2212 W", line: { color: "low", width: 2 } },
];

// The ranks of a curve's points: the ladder below the last known value, then that one.
function ranksOf(curve) {
  return figures.spectra.ladder.filter((rank) => rank < curve.known).concat(curve.known ? [curve.known] : []);
}

function spectrumTraces(entry) {
  const traces = [], points = {};
  for (const { side, name, line } of CURVES) {
    const curve = entry.curves[side];
    if (!curve || !curve.known) continue;
    points[side] = { x: ranksOf(curve), y: curve.values };
    const one = points[side].x.length < 3;
    traces.push({ type: "scatter", mode: one ? "lines+markers" : "lines", name, ...points[side], line: { ...line, color: colour(line.color) },
      hovertemplate: "<b>\u03c3 = %{y:.4g}</b><br>" + name + ", rank %{x} of " + curve.size.toLocaleString("en") + "<extra></extra>" });
  }
  const last = Math.max(...Object.values(entry.curves).map((curve) => curve.known), 2);
  for (const { side, name, line } of CURVES) {
    const known = (fact) => (entry[fact] || {})[side], edge = known("edge"), at = points[side];
    if (edge > 0 && at) {
      traces.push({ type: "scatter", mode: "lines", name: side === "delta" ? "edge of the noise" : "edge, " + name, x: [1, last], y: [edge, edge], visible: side === "delta" || "legendonly",
        line: { color: colour(side === "delta" ? "open" : line.color), dash: "dot", width: 1.4 },
        hovertemplate: "<b>edge of the noise</b><br>\u03c3 = %{y:.4g}<extra></extra>" });
    }
    const spikes = known("spikes");
    if (spikes > 0 && at && side === "delta") {
      const kept = at.x.map((rank, k) => k).filter((k) => at.x[k] <= spikes && at.y[k] !== null);
      traces.push({ type: "scatter", mode: "markers", name: "spikes", x: kept.map((k) => at.x[k]), y: kept.map((k) => at.y[k]),
        marker: { symbol: "circle-open", size: 9, color: colour("low"), line: { width: 1.6 } }, hoverinfo: "skip" });
    }
    const alpha = known("alpha"), n = known("n_tail"), least = Math.sqrt(known("x_min"));
    if (alpha > 1 && n > 1 && least > 0 && at) {
      // \u03c3\u1d62 = \u03c3\u2099 (n / i)^(1 / (2 (\u03b1 \u2212 1))), down to the least value of the tail
      traces.push({ type: "scatter", mode: "lines", name: "power law, " + name, x: [1, n], y: [least * n ** (1 / (2 * (alpha - 1))), least],
        line: { color: colour(line.color), dash: "longdashdot", width: 1 }, hoverinfo: "skip" });
    }
  }
  return traces;
}

function spectrumNote(entry) {
  const delta = entry.curves.delta, words = [];
  const known = (fact, side) => (entry[fact] || {})[side];
  const say = (text, value) => { if (present(value)) words.push(text + " " + number(value)); };
  if (!entry.curves.trained) words.push("W\u2032 has the singular values of W");
  if (delta && !delta.known) words.push("the change has no singular value above zero");
  else if (delta && delta.known < delta.size) {
    words.push((delta.size - delta.known).toLocaleString("en") + " of " + delta.size.toLocaleString("en") + " singular values of \u0394 are zero or not resolved");
  }
  say("stable rank of \u0394", known("stable_rank", "delta"));
  say("effective rank", known("effective_rank", "delta"));
  say("spikes above the noise", known("spikes", "delta"));
  say("edge of the noise", known("edge", "delta"));
  for (const { side, name } of CURVES) {
    const alpha = known("alpha", side), error = known("alpha_se", side), n = known("n_tail", side);
    if (alpha) words.push("\u03b1 of " + name + " " + number(alpha) + (error ? " \u00b1 " + number(error) : "") + (n ? " (n = " + number(n) + ")" : ""));
  }
  const text = words.join(" \u00b7 ");
  return text && text[0].toUpperCase() + text.slice(1) + ".";
}

// Gives back a function that shows the matrix at a row and column of a heat map, if the page carries one.
function wireSpectrum() {
  const host = document.getElementById("spectrum");
  if (!host) return null;
  const [module, layer, tensor] = ["module", "layer", "tensor"].map((name) => document.getElementById("spectrum-" + name));
  const list = figures.spectra.tensors, unique = (names) => [...new Set(names)];
  const here = () => list.filter((entry) => entry.module === module.value && entry.row === layer.value);
  const draw = () => {
    const entry = here().find((one) => one.name === tensor.value);
    document.getElementById("spectrum-name").textContent = visible(entry.name);
    document.getElementById("spectrum-note").textContent = spectrumNote(entry);
    const axis = { type: "log", exponentformat: "power", zeroline: false, dtick: 1, minor: { showgrid: false } };
    const text = (words) => ({ text: words, standoff: 8, font: { size: 12, color: colour("muted") } });
    const narrow = host.clientWidth < 560;
    Plotly.react(host, spectrumTraces(entry), baseLayout({
      height: narrow ? 420 : 400, showlegend: true, margin: { l: 8, r: 12, t: 30, b: 8 }, hovermode: "closest",
      legend: { orientation: "h", x: 0, xanchor: "left", y: narrow ? -.22 : -.18, yanchor: "top", font: { size: 12 } },
      xaxis: { ...axis, title: text("rank") }, yaxis: { ...axis, title: text("singular value \u03c3") },
    }), CONFIG);
  };
  const settle = () => {
    fill(layer, unique(list.filter((entry) => entry.module === module.value).map((entry) => entry.row)), layer.value);
    fill(tensor, here().map((entry) => entry.name), tensor.value);
    tensor.parentElement.hidden = here().length < 2;
    draw();
  };
  fill(module, unique(list.map((entry) => entry.module)));
  const largest = list.find((entry) => entry.name === figures.spectra.start) || list[0];
  const go = (row, column) => {
    if (!list.some((entry) => entry.row === row && entry.module === column)) return false;
    module.value = column;
    fill(layer, [row], row);
    settle();
    return true;
  };
  module.addEventListener("change", settle);
  layer.addEventListener("change", settle);
  tensor.addEventListener("change", draw);
  go(largest.row, largest.module);
  tensor.value = largest.name;
  redrawn(host, draw);
  return go;
}

function wireSpectral(go) {
  const host = document.getElementById("spectral-heat");
  if (!host) return;
  const picker = document.getElementById("spectral-metric"), log = document.getElementById("spectral-log");
  for (const k of figures.spectral) {
    const grid = figures.grids[k];
    grid.negative = grid.values.flat().some((v) => v < 0);
    const owner = grid.subjects === figures.contrast.join(" \u2192 ") ? "" : " \u00b7 " + grid.subjects;
    picker.append(element("option", { value: k }, visible(grid.metric + owner)));
  }
  host.classList.toggle("pick", go !== null);
  redrawn(host, draw);
  picker.addEventListener("change", draw);
  log.addEventListener("change", draw);

  function draw() {
    const grid = figures.grids[Number(picker.value)];
    document.getElementById("spectral-summary").textContent = visible(grid.summary) || "This document does not describe the metric.";
    log.disabled = grid.negative;
    host.hidden = !grid.rows.length;
    if (!grid.rows.length) return;
    drawHeat(host, grid, log.checked && !grid.negative);
    document.getElementById("spectral-note").textContent = [
      grid.tensors.flat().some((n) => n > 1) ? "Where a place holds several matrices, the cell shows the largest value." : "",
      go ? "Choose a cell to see its spectrum above." : "",
    ].filter(Boolean).join(" ");
    // A redraw at another width starts the host anew and forgets its listeners.
    host.removeAllListeners("plotly_click");
    host.on("plotly_click", ({ points: [point] }) => {
      const flipped = host.clientWidth > 640 && grid.rows.length >= grid.columns.length;
      const [i, j] = flipped ? [point.x, point.y] : [point.y, point.x];
      if (go && go(grid.rows[i], grid.columns[j])) {
        document.getElementById("spectra-panel").scrollIntoView({ block: "start" });
      }
    });
  }
}

// A map of heads in the shape that drawHeat knows.
function headGrid(map) {
  const state = (i, j, value) => (value !== null ? 1 : map.undefined[i + "," + j] === undefined ? 0 : 2);
  return {
    ...map, heads: true, negative: map.values.flat().some((v) => v < 0),
    states: map.values.map((line, i) => line.map((v, j) => state(i, j, v))),
    tensors: map.values.map((line, i) => line.map((_, j) => map.several[i + "," + j] || 0)),
    reasons: Object.fromEntries(Object.entries(map.undefined).map(([key, reason]) => [key, map.reasons[reason]])),
  };
}

function wireHeads() {
  const host = document.getElementById("head-heat");
  if (!host) return;
  const picker = document.getElementById("head-metric"), log = document.getElementById("head-log");
  const chips = document.getElementById("head-modules");
  const owner = (map) => (map.subjects === figures.contrast.join(" \u2192 ") ? "" : " \u00b7 " + map.subjects);
  const names = [...new Set(figures.heads.map((map) => map.figure + owner(map)))];
  let chosen = null;
  const maps = () => figures.heads.filter((map) => map.figure + owner(map) === picker.value);
  fill(picker, names);

  function settle() {
    if (!maps().some((map) => map.projection === chosen)) chosen = maps()[0].projection;
    chips.replaceChildren(...maps().map((map) => {
      const chip = element("button", { type: "button", class: "chip choice", "aria-pressed": String(map.projection === chosen) },
        visible(/^(qk|ov)$/.test(map.projection) ? map.projection.toUpperCase() : map.projection || "whole head"));
      chip.addEventListener("click", () => { chosen = map.projection; settle(); chips.children[maps().indexOf(map)].focus(); });
      return chip;
    }));
    draw();
  }

  function draw() {
    const map = maps().find((one) => one.projection === chosen), grid = headGrid(map);
    document.getElementById("head-summary").textContent = visible(map.summary) || "This document does not describe the metric.";
    log.disabled = grid.negative;
    drawHeat(host, grid, log.checked && !grid.negative);
  }
  picker.addEventListener("change", settle);
  log.addEventListener("change", draw);
  settle();
  redrawn(host, draw);
}
