// Heat map and bars of one metric, and the figures that plugins left.
const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d"] };
const plain = (text) => visible(String(text)).replace(/&/g, "&amp;").replace(/</g, "&lt;");

function baseLayout(extra) {
  const axis = { gridcolor: colour("line"), linecolor: colour("strong-line"), zerolinecolor: colour("strong-line"),
    automargin: true, fixedrange: false, ticks: "" };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: { family: colour("sans"), size: 12, color: colour("ink") }, margin: { l: 8, r: 8, t: 26, b: 8 },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("strong-line"), align: "left",
      font: { family: colour("sans"), size: 12, color: colour("ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
    ...extra, xaxis: { ...axis, ...extra.xaxis }, yaxis: { ...axis, ...extra.yaxis },
  };
}

// Labels of axes are cut where a name would leave no room for the chart; hovering shows it whole.
const tick = (name) => plain(name.length > 24 ? name.slice(0, 23) + "\u2026" : name);

function hover(grid, i, j) {
  const where = plain((/^\d+$/.test(grid.rows[i]) ? "layer " : "") + grid.rows[i] + " \u00b7 "
    + (grid.heads ? "head " : "") + grid.columns[j]);
  const state = grid.states[i][j], value = grid.values[i][j], tensors = grid.tensors[i][j];
  if (state === 0) return where + "<br>nothing there to measure";
  const reason = grid.reasons[i + "," + j];
  if (state === 2) return where + "<br>undefined" + (reason ? ": " + plain(reason) : "");
  const from = tensors > 1 ? "<br>largest of " + tensors + " tensors" : "";
  return "<b>" + quantity(value, grid) + "</b><br>" + where + from + "<br>" + plain(String(value));
}

function scaleOf(grid, log) {
  const known = grid.values.flat().filter((v) => v !== null && v !== 0);
  const signed = known.some((v) => v < 0), sizes = known.map(Math.abs);
  if (!known.length) return null;
  const top = Math.max(...sizes), low = Math.min(...sizes);
  if (signed) {
    return { map: (v) => v, min: -top, max: top, ticks: [-top, -top / 2, 0, top / 2, top], scale: ["low", "middle", "high"] };
  }
  const scale = ["heat-0", "heat-1", "heat-2", "heat-3", "heat-4"];
  if (!log) return { map: (v) => v, min: 0, max: top, ticks: [0, top / 4, top / 2, 3 * top / 4, top], scale };
  const [from, to] = low === top ? [Math.log10(top) - 1, Math.log10(top)] : [Math.log10(low), Math.log10(top)];
  const steps = [0, 1, 2, 3, 4].map((k) => from + (to - from) * k / 4);
  return { map: Math.log10, min: from, max: to, ticks: steps, scale, back: (t) => 10 ** t };
}

// Outlines of all cells in one state as a single shape: a heat map itself knows no hatching.
function outlines(cells, fill) {
  const x = [], y = [];
  for (const [i, j] of cells) {
    x.push(j - .46, j + .46, j + .46, j - .46, j - .46, null);
    y.push(i - .44, i - .44, i + .44, i + .44, i - .44, null);
  }
  return { type: "scatter", mode: "lines", x, y, fill: "toself", hoverinfo: "skip",
    line: { width: .6, color: colour("strong-line") }, ...fill };
}

function cellsIn(table, test) {
  return table.flatMap((line, i) => line.flatMap((v, j) => (test(v) ? [[i, j]] : [])));
}

function drawHeat(host, grid, log) {
  const wide = host.clientWidth > 640;
  // A redraw in place would keep the labels and margins of a colour bar that has turned.
  if (host.dataset.wide !== String(wide)) Plotly.purge(host);
  host.dataset.wide = String(wide);
  const flip = wide && grid.rows.length >= grid.columns.length;
  const turn = (table) => (flip ? table[0].map((_, j) => table.map((line) => line[j])) : table);
  const scale = scaleOf(grid, log);
  const values = turn(grid.values), states = turn(grid.states);
  const hovers = turn(grid.values.map((line, i) => line.map((_, j) => hover(grid, i, j))));
  const rows = wide ? grid.rows : grid.rows.map((name) => name.replace("outside layers", "outside"));
  const [down, across] = flip ? [grid.columns, rows] : [rows, grid.columns];
  const room = (host.clientWidth - (wide ? 150 : 80)) / across.length;
  const cell = (v) => (v === null || v === 0 || room < 54 ? "" : quantity(v, grid));
  const traces = [];
  if (scale) {
    traces.push({
      type: "heatmap", z: values.map((line) => line.map((v) => (v === null || (v === 0 && !grid.negative) ? null : scale.map(v)))),
      text: values.map((line) => line.map(cell)), texttemplate: "%{text}", textfont: { size: 11 },
      hovertext: hovers, hovertemplate: "%{hovertext}<extra></extra>", hoverongaps: true, xgap: 2, ygap: 2,
      zmin: scale.min, zmax: scale.max, colorscale: scale.scale.map((name, k) => [k / (scale.scale.length - 1), colour(name)]),
      colorbar: { thickness: 10, outlinewidth: 0, tickvals: scale.ticks, len: 1, lenmode: "fraction", tickfont: { size: 11 },
        ticktext: scale.ticks.map((t) => quantity(scale.back ? scale.back(t) : t, grid)),
        ...(wide ? {} : { orientation: "h", x: .5, y: 1, yanchor: "bottom", ypad: 4 }) },
    });
  } else {
    traces.push({ type: "heatmap", z: values.map((line) => line.map(() => null)), hovertext: hovers,
      hovertemplate: "%{hovertext}<extra></extra>", hoverongaps: true, showscale: false });
  }
  const undefinedCells = cellsIn(states, (s) => s === 2), zeroCells = cellsIn(values, (v) => v === 0);
  if (undefinedCells.length) {
    traces.push(outlines(undefinedCells, { fillpattern: { shape: "/", size: 6, solidity: .25, fgcolor: colour("muted"), bgcolor: "rgba(0,0,0,0)" } }));
  }
  if (zeroCells.length) traces.push(outlines(zeroCells, { fillcolor: "rgba(0,0,0,0)" }));
  const label = (names, layers) => ({ tickvals: thin(names, layers), ticktext: thin(names, layers).map((k) => tick(names[k])) });
  const title = (text) => (text ? { text, standoff: 6, font: { size: 12, color: colour("muted") } } : undefined);
  const layersAcross = flip;
  const lines = Math.max(down.length * (down.length > 40 ? 14 : 26), 120);
  Plotly.react(host, traces, baseLayout({
    height: lines + (layersAcross ? 80 : wide ? 90 : 120),
    xaxis: { ...label(across, layersAcross && room), range: [-.5, across.length - .5], showgrid: false, zeroline: false,
      title: title(layersAcross ? "layer" : grid.heads && "head") },
    yaxis: { ...label(down, grid.heads && lines / down.length), range: [down.length - .5, -.5], showgrid: false, zeroline: false,
      title: title(layersAcross ? grid.heads && "head" : "layer") },
  }), CONFIG);
}

// Which labels fit: every one, or each second, fifth, tenth …
function thin(names, room) {
  const longest = Math.max(...names.map((name) => Math.min(name.length, 24))) * 7 + 6;
  const step = room && room < Math.min(longest, 40) ? [2, 5, 10, 20, 50].find((s) => s * room >= 26) || 100 : 1;
  return names.map((_, k) => k).filter((k) => k % step === 0 || !/^\d+$/.test(names[k]));
}

function drawBars(host, bars, grid, upright) {
  const names = bars.labels.map((name, k) => k), text = bars.labels.map(plain);
  const hovers = bars.values.map((v, k) => "<b>" + (v === null ? "undefined" : quantity(v, grid)) + "</b><br>" + text[k]
    + (v === null ? "" : "<br>" + plain(String(v))));
  const missing = names.filter((k) => bars.values[k] === null);
  const size = { rangemode: "tozero", nticks: 5, tickformat: grid.share ? "~%" : undefined, exponentformat: "e" };
  const kept = upright ? thin(bars.labels, (host.clientWidth - 70) / Math.max(bars.labels.length, 1)) : names;
  const category = { tickvals: kept, ticktext: kept.map((k) => tick(bars.labels[k])), showgrid: false, zeroline: false };
  const along = (a, b) => (upright ? { x: a, y: b } : { x: b, y: a });
  const traces = [{ type: "bar", ...along(names, bars.values), orientation: upright ? "v" : "h", marker: { color: colour("bar") },
    hovertext: hovers, hovertemplate: "%{hovertext}<extra></extra>" }];
  if (missing.length) {
    traces.push({ type: "scatter", mode: "markers", ...along(missing, missing.map(() => 0)),
      marker: { symbol: "x-thin-open", size: 8, color: colour("muted") },
      hovertext: missing.map((k) => hovers[k]), hovertemplate: "%{hovertext}<extra></extra>" });
  }
  Plotly.react(host, traces, baseLayout({
    height: upright ? 260 : Math.max(bars.labels.length * 24 + 46, 140), bargap: .25,
    xaxis: upright ? category : size, yaxis: upright ? size : { ...category, autorange: "reversed" },
  }), CONFIG);
}

function wireMaps() {
  const host = document.getElementById("heat");
  if (!host) return;
  const picker = document.getElementById("metric"), log = document.getElementById("log");
  figures.grids.forEach((grid, k) => {
    grid.negative = grid.values.flat().some((v) => v < 0);
    const owner = grid.subjects === figures.contrast.join(" \u2192 ") ? "" : " \u00b7 " + grid.subjects;
    picker.append(element("option", { value: k }, visible(grid.metric + owner)));
  });
  const draw = () => {
    const grid = figures.grids[Number(picker.value)], bars = [];
    document.getElementById("metric-summary").textContent = visible(grid.summary) || "This document does not describe the metric.";
    log.disabled = grid.negative;
    document.getElementById("heat-title").textContent = "By layer and " + grid.across;
    document.getElementById("modules-title").textContent = "By " + grid.across;
    host.hidden = !grid.rows.length;
    if (grid.rows.length) drawHeat(host, grid, log.checked && !grid.negative);
    const several = grid.tensors.flat().some((n) => n > 1);
    document.getElementById("heat-note").textContent = several
      ? "Where a place holds several tensors, the cell shows the largest of them; hovering says of how many." : "";
    for (const [id, data, upright] of [["layers", grid.by_layer, true], ["modules", grid.by_module, false]]) {
      document.getElementById(id).parentElement.hidden = !data.labels.length;
      if (data.labels.length) drawBars(document.getElementById(id), data, grid, upright);
      if (data.labels.length && data.derived) bars.push(id === "layers" ? "by layer" : "by " + grid.across);
    }
    document.getElementById("bars-note").textContent = bars.length
      ? "Bars " + bars.join(" and ") + " show the largest value found there, because the run measured no figure for the whole." : "";
  };
  picker.addEventListener("change", draw);
  log.addEventListener("change", draw);
  themeListeners.push(draw);
  let width = host.clientWidth;
  addEventListener("resize", () => {
    if (Math.abs(host.clientWidth - width) > 40) { width = host.clientWidth; draw(); }
  });
  draw();
}

function wireDrawings() {
  const draw = () => document.querySelectorAll(".drawing").forEach((host) => {
    const figure = figures.drawings[host.dataset.drawing];
    // A copy each time: the library writes into what it is given, and the theme may change.
    const { data, layout } = structuredClone(figure);
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d+$/.test(key));
    const themed = baseLayout({ height: 380, ...layout, template: undefined, xaxis: layout.xaxis || {}, yaxis: layout.yaxis || {} });
    delete themed.title; delete themed.width; delete themed.images;
    axes.forEach((key) => { themed[key] = { gridcolor: colour("line"), automargin: true, ...layout[key] }; });
    Object.assign(themed, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: { ...layout.font, family: colour("sans"), color: colour("ink") } });
    themed.showlegend = layout.showlegend !== undefined ? layout.showlegend : data.length > 1;
    Plotly.react(host, data, themed, CONFIG).catch(() => { host.textContent = "This chart could not be drawn."; });
  });
  themeListeners.push(draw);
  draw();
}
