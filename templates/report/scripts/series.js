// Several models beside one base: how the weights moved over training, and how candidates relate.
const UNITLESS = { unit: "1", share: false }, SHARE = { unit: "1", share: true };
const SIZES = { relative: "\u2016\u0394\u2016 / \u2016W\u2016", norm: "\u2016\u0394\u2016", step_norm: "\u2016\u03b8\u209c \u2212 \u03b8\u209c\u208b\u2081\u2016" };

function seriesLine(name, x, y, colourName, extra) {
  return { type: "scatter", mode: "lines+markers", name, x, y, connectgaps: false, ...extra,
    line: { color: colour(colourName), width: 2, ...(extra || {}).line }, marker: { size: 6, color: colour(colourName), ...(extra || {}).marker } };
}

function seriesLegend() {
  return { showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" } };
}

function stepAxis(data) {
  const room = (Math.max(...data.steps) - Math.min(...data.steps)) * .03 || 1;
  return { title: { text: "training step", standoff: 6, font: { size: 12, color: colour("muted") } }, zeroline: false,
    range: [Math.min(0, ...data.steps), Math.max(...data.steps) + room] };
}

// A vertical line where something set in or shifted, with its name above it.
function seriesMark(step, name) {
  if (step === null || step === undefined) return [];
  return [{ shape: { type: "line", xref: "x", yref: "paper", x0: step, x1: step, y0: 0, y1: 1, line: { color: colour("muted"), width: 1, dash: "dot" } },
    note: { xref: "x", yref: "paper", x: step, y: name === "onset" ? .98 : .9, yanchor: "top", xanchor: "left", text: " " + name, showarrow: false,
      font: { size: 11, color: colour("muted") } } }];
}

function drawSizes(host, data, place, size) {
  const share = size === "relative", traces = [];
  const format = (v) => quantity(v, share ? SHARE : UNITLESS);
  const shown = place[size];
  traces.push(seriesLine(SIZES[size], [0, ...data.steps], [size === "step_norm" ? null : 0, ...shown], "bar",
    { hovertext: ["the base", ...shown.map((v, i) => "<b>" + (v === null ? "undefined" : format(v)) + "</b><br>step " + data.steps[i])],
      hovertemplate: "%{hovertext}<extra></extra>" }));
  const losses = [["loss", "loss", "low", { mode: "lines", line: { width: 1.4 } }], ["eval_loss", "evaluation loss", "open", { mode: "lines+markers", line: { dash: "dash", width: 1.4 } }]];
  let second = false;
  for (const [key, name, shade, extra] of losses) {
    let points = data.log.filter((row) => row[key] !== undefined).map((row) => [row.step, row[key]]);
    if (!points.length && data.places[0][key]) points = data.steps.map((step, i) => [step, data.places[0][key][i]]).filter((p) => p[1] !== null);
    if (!points.length) continue;
    second = true;
    traces.push(seriesLine(name, points.map((p) => p[0]), points.map((p) => p[1]), shade,
      { ...extra, yaxis: "y2", hovertemplate: "<b>%{y:.4g}</b><br>" + name + ", step %{x}<extra></extra>" }));
  }
  const marks = [...seriesMark(place.onset_step, "onset"), ...seriesMark(place.change_point, "change point")];
  Plotly.react(host, traces, baseLayout({
    height: 340, ...seriesLegend(), margin: { l: 8, r: 8, t: 40, b: 8 },
    shapes: marks.map((m) => m.shape), annotations: marks.map((m) => m.note), xaxis: stepAxis(data),
    yaxis: { title: { text: SIZES[size], font: { size: 12, color: colour("muted") } }, rangemode: "tozero", tickformat: share ? "~%" : undefined, nticks: 6 },
    ...(second ? { yaxis2: { title: { text: "loss", font: { size: 12, color: colour("muted") } }, overlaying: "y", side: "right", showgrid: false,
      automargin: true, linecolor: colour("strong-line"), nticks: 6, tickmode: "auto", tickformat: ".3~g", ticks: "" } } : {}),
  }), CONFIG);
  const facts = [["path", "path_length"], ["straightness", "straightness"], ["onset at step", "onset_step"], ["change point at step", "change_point"]]
    .filter(([, key]) => place[key] !== null && place[key] !== undefined).map(([name, key]) => name + " " + number(Number(place[key].toPrecision(4))));
  document.getElementById("series-note").textContent = facts.join(" \u00b7 ");
}

function drawTurns(host, data, place) {
  const hovers = (values, name) => values.map((v, i) => "<b>" + (v === null ? "undefined" : number(v)) + "</b><br>" + name + "<br>step " + data.steps[i]);
  const line = (name, key, shade, extra) => seriesLine(name, data.steps, place[key], shade,
    { ...extra, hovertext: hovers(place[key], name), hovertemplate: "%{hovertext}<extra></extra>" });
  const values = [...place.step_cosine, ...place.cosine_to_final].filter((v) => v !== null);
  const low = Math.min(0, ...values);
  Plotly.react(host, [line("step cosine", "step_cosine", "low"), line("cosine to the final change", "cosine_to_final", "bar", { line: { dash: "dash" } })],
    baseLayout({ height: 260, ...seriesLegend(), margin: { l: 8, r: 8, t: 40, b: 8 }, xaxis: stepAxis(data),
      yaxis: { range: [low < 0 ? -1.05 : -.05, 1.05], nticks: 6 } }), CONFIG);
}

function drawLayers(host, data) {
  const layers = data.places.filter((place) => place.layer), x = data.steps.map((_, i) => i);
  const share = layers.map((place) => {
    const last = place.norm[place.norm.length - 1];
    return place.norm.map((v) => (v === null || !last ? null : (v / last) ** 2));
  });
  const name = (place) => plain(place.name.replace(/^layer /, ""));
  const onset = layers.map((place) => data.steps.indexOf(place.onset_step));
  const hovers = share.map((line, i) => line.map((v, j) => "<b>" + (v === null ? "no final change" : percent(v)) + "</b><br>"
    + plain(layers[i].name) + " \u00b7 step " + data.steps[j] + "<br>\u2016\u0394\u2016 " + (layers[i].norm[j] === null ? "undefined" : number(layers[i].norm[j]))));
  const top = Math.max(1, ...share.flat().filter((v) => v !== null));
  const kept = layers.map((_, i) => i).filter((i) => onset[i] >= 0);
  const across = thin(data.labels, (host.clientWidth - 90) / x.length);
  Plotly.react(host, [
    { type: "heatmap", x, y: layers.map((_, i) => i), z: share, hovertext: hovers, hovertemplate: "%{hovertext}<extra></extra>", xgap: 1, ygap: 1,
      zmin: 0, zmax: top, colorscale: [0, 1, 2, 3, 4].map((k) => [k / 4, colour("heat-" + k)]),
      colorbar: { thickness: 10, outlinewidth: 0, tickformat: "~%", tickfont: { size: 11 } } },
    { type: "scatter", mode: "markers", x: kept.map((i) => onset[i]), y: kept, hoverinfo: "skip",
      marker: { symbol: "diamond", size: 8, color: colour("low"), line: { width: 1, color: colour("surface") } } },
  ], baseLayout({
    height: Math.max(layers.length * (layers.length > 40 ? 13 : 22), 120) + 70,
    xaxis: { tickvals: across, ticktext: across.map((i) => tick(String(data.steps[i]))), range: [-.5, x.length - .5], showgrid: false, zeroline: false,
      title: { text: "training step", standoff: 6, font: { size: 12, color: colour("muted") } } },
    yaxis: { tickvals: thin(layers.map(name)), ticktext: thin(layers.map(name)).map((i) => name(layers[i])), range: [layers.length - .5, -.5],
      showgrid: false, zeroline: false, title: { text: "layer", standoff: 6, font: { size: 12, color: colour("muted") } } },
  }), CONFIG);
}

function drawMatrix(host, data, place, measure) {
  const matrix = place[measure], signed = measure === "cosine", places = data.labels.map((_, i) => i);
  const random = place[measure + "_random"];
  const expected = (i, j) => (measure === "cosine" ? (place.cosine_random === null ? "" : "independent: 0 \u00b1 " + scientific(place.cosine_random, 1))
    : measure === "sign_agreement" ? "independent: 0.5" : random && random[i][j] !== null ? "independent: " + number(random[i][j]) : "");
  const hovers = matrix.map((line, i) => line.map((v, j) => "<b>" + (v === null ? "undefined" : number(v)) + "</b><br>"
    + plain(data.labels[i]) + " \u00b7 " + plain(data.labels[j]) + (i === j || !expected(i, j) ? "" : "<br>" + expected(i, j))));
  const shades = signed ? ["low", "middle", "high"] : ["heat-0", "heat-1", "heat-2", "heat-3", "heat-4"];
  const room = (host.clientWidth - 200) / places.length;
  const label = { tickvals: places, ticktext: data.labels.map(tick), showgrid: false, zeroline: false };
  Plotly.react(host, [{
    type: "heatmap", x: places, y: places, z: matrix, hovertext: hovers, hovertemplate: "%{hovertext}<extra></extra>", hoverongaps: true, xgap: 2, ygap: 2,
    text: matrix.map((line) => line.map((v) => (v === null || room < 44 ? "" : v.toFixed(2)))), texttemplate: "%{text}", textfont: { size: 12 },
    zmin: signed ? -1 : 0, zmax: 1, colorscale: shades.map((shade, k) => [k / (shades.length - 1), colour(shade)]),
    colorbar: { thickness: 10, outlinewidth: 0, nticks: 5, tickfont: { size: 11 } },
  }], baseLayout({ height: Math.max(places.length * 40, 160) + 80, xaxis: label, yaxis: { ...label, autorange: "reversed" } }), CONFIG);
  document.getElementById("series-note").textContent = measure.startsWith("subspace") && random
    ? "Mean over matrices of \u2016U\u2081\u1d40U\u2082\u2016\u00b2/k for the leading singular vectors. Hovering says what independent subspaces would share."
    : measure === "cosine" ? "1 is one direction, \u22121 the opposite. " + expected(0, 1).replace("independent", "Independent changes") + "."
      : "Of the entries that both changed. Independent changes agree in half of them.";
}

function wireSeries() {
  const data = figures.series, select = document.getElementById("series-place");
  if (!data || !select) return;
  data.places.forEach((place, k) => select.append(element("option", { value: k }, visible(place.name))));
  const place = () => data.places[Number(select.value)];
  const draws = [];
  if (data.kind === "trajectory") {
    const size = document.getElementById("series-size"), sizes = document.getElementById("series-sizes");
    const turns = document.getElementById("series-turns"), layers = document.getElementById("series-layers");
    const both = () => { drawSizes(sizes, data, place(), size.value); drawTurns(turns, data, place()); };
    for (const field of [select, size]) field.addEventListener("change", both);
    draws.push([sizes, both]);
    if (layers) draws.push([layers, () => drawLayers(layers, data)]);
  } else {
    const measure = document.getElementById("series-measure"), host = document.getElementById("series-matrix");
    const draw = () => drawMatrix(host, data, place(), measure.value);
    for (const field of [select, measure]) field.addEventListener("change", draw);
    draws.push([host, draw]);
  }
  draws.forEach(([host, draw]) => redrawn(host, draw));
}
