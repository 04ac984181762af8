// Behaviour: distribution of lengths, pass@k, reliability, and the prompts with both sides' answers.
const SIDES = [["base", "muted", "dash"], ["trained", "bar", "solid"]];

function translucent(name, alpha) {
  const [r, g, b] = colour(name).match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
  return "rgba(" + [r, g, b, alpha].join(",") + ")";
}

function curveLayout(host, x, y, extra) {
  const title = (text) => ({ text, standoff: 8, font: { size: 12, color: colour("muted") } });
  return baseLayout({
    height: host.clientWidth < 560 ? 320 : 340, showlegend: true, margin: { l: 8, r: 12, t: 34, b: 8 }, hovermode: "closest",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } }, ...extra,
    xaxis: { zeroline: false, ...x, title: title(x.title) }, yaxis: { ...y, title: title(y.title) },
  });
}

// Lengths lie on the scale log(1 + length), on which the bins have equal widths and 0 has a place.
function lengthTicks(last) {
  const marks = [0, 1, 3, 10, 30, 100, 300, 1000, 3000, 1e4, 3e4, 1e5, 1e6, 1e7].filter((n) => n <= last);
  return { tickvals: marks.map((n) => Math.log1p(n)), ticktext: marks.map((n) => n.toLocaleString("en")) };
}

function lengthTraces(lengths, way) {
  if (way === "By prompt") {
    const text = lengths.pairs.map(([b, t]) => "base " + number(b) + ", trained " + number(t) + " " + lengths.unit);
    const ends = [0, Math.log1p(lengths.edges[lengths.edges.length - 1])];
    return [
      { type: "scatter", mode: "lines", name: "equal", x: ends, y: ends, hoverinfo: "skip", line: { color: colour("strong-line"), width: 1, dash: "dot" } },
      { type: "scatter", mode: "markers", name: "prompts", x: lengths.pairs.map(([b]) => Math.log1p(b)), y: lengths.pairs.map(([, t]) => Math.log1p(t)),
        text, hovertemplate: "%{text}<extra></extra>", marker: { size: 6, color: translucent("bar", .5) } },
    ];
  }
  const edges = lengths.edges.map((edge) => Math.log1p(edge));
  return SIDES.map(([side, tone, dash]) => {
    const total = Math.max(lengths[side].reduce((a, b) => a + b, 0), 1);
    let sum = 0;
    const shares = lengths[side].map((n) => (way === "Cumulative" ? (sum += n) : n) / total);
    const hover = lengths[side].map((n, k) => number(Math.ceil(lengths.edges[k])) + " to " + number(Math.floor(lengths.edges[k + 1])) + " " + lengths.unit + ": "
      + percent(shares[k]) + (way === "Cumulative" ? " up to here" : " (" + n.toLocaleString("en") + ")"));
    const end = way === "Cumulative" ? [{ x: edges[0], y: 0, text: "" }] : [];
    const points = [...end, ...shares.map((y, k) => ({ x: way === "Cumulative" ? edges[k + 1] : edges[k], y, text: hover[k] }))];
    if (way !== "Cumulative") points.push({ x: edges[edges.length - 1], y: shares[shares.length - 1], text: hover[hover.length - 1] });
    return { type: "scatter", mode: "lines", name: side, x: points.map((p) => p.x), y: points.map((p) => p.y), text: points.map((p) => p.text),
      hovertemplate: "<b>" + side + "</b><br>%{text}<extra></extra>",
      line: { shape: way === "Cumulative" ? "linear" : "hv", color: colour(tone), dash, width: 2 }, fill: way === "Cumulative" ? "none" : "tozeroy", fillcolor: translucent(tone, .12) };
  });
}

const LENGTH_NOTES = {
  Histogram: "Share of answers in bins of equal ratio.",
  Cumulative: "Share of answers up to a length.",
  "By prompt": "Mean length of each prompt's answers; above the dotted line trained writes more.",
};

function wireLengths(lengths) {
  const host = document.getElementById("length-plot"), chips = document.getElementById("length-views");
  if (!host || !lengths) return;
  let way = "Histogram";
  const draw = () => {
    const ticks = lengthTicks(lengths.edges[lengths.edges.length - 1]), scatter = way === "By prompt";
    const held = lengths.base.map((n, k) => n + lengths.trained[k]), first = Math.max(held.findIndex((n) => n > 0), 0);
    const range = [Math.log1p(lengths.edges[first]), Math.log1p(lengths.edges[lengths.edges.length - 1])];
    const share = { title: "share of answers", tickformat: "~%", rangemode: "tozero", nticks: 6 };
    Plotly.react(host, lengthTraces(lengths, way), curveLayout(host, { ...ticks, ...(scatter ? {} : { range }), title: (scatter ? "base, " : "") + lengths.unit + " per answer" },
      scatter ? { ...ticks, zeroline: false, title: "trained, " + lengths.unit } : share, { showlegend: !scatter }), CONFIG);
    document.getElementById("length-note").textContent = LENGTH_NOTES[way];
  };
  const ways = Object.keys(LENGTH_NOTES).filter((name) => name !== "By prompt" || lengths.pairs.length);
  for (const name of ways) {
    const chip = element("button", { type: "button", class: "chip choice", "aria-pressed": String(name === way) }, name);
    chip.addEventListener("click", () => {
      way = name;
      [...chips.children].forEach((other) => other.setAttribute("aria-pressed", String(other === chip)));
      draw();
    });
    chips.append(chip);
  }
  redrawn(host, draw);
}

// Points [x, y, low, high, n] of both sides with their bands or bars.
function curveTraces(curves, label, bars) {
  return SIDES.flatMap(([side, tone, dash]) => {
    const points = curves[side], xs = points.map((p) => p[0]);
    const known = points.filter((p) => p[2] !== null);
    const text = points.map((p) => label(p) + ": " + percent(p[1]) + (p[2] === null ? "" : " [" + percent(p[2]) + ", " + percent(p[3]) + "]")
      + (p[4] === null ? "" : ", n = " + p[4]));
    const line = { type: "scatter", mode: "lines+markers", name: side, x: xs, y: points.map((p) => p[1]), text,
      hovertemplate: "<b>" + side + "</b><br>%{text}<extra></extra>", line: { color: colour(tone), dash, width: 2 }, marker: { size: 6, color: colour(tone) } };
    if (bars) {
      line.error_y = { type: "data", symmetric: false, array: points.map((p) => Math.max(p[3] - p[1], 0)), arrayminus: points.map((p) => Math.max(p[1] - p[2], 0)),
        color: translucent(tone, .55), thickness: 1.2, width: 3 };
      return [line];
    }
    const band = { type: "scatter", mode: "lines", x: [...known.map((p) => p[0]), ...known.map((p) => p[0]).reverse()],
      y: [...known.map((p) => p[3]), ...known.map((p) => p[2]).reverse()], fill: "toself", fillcolor: translucent(tone, .16), line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    return known.length > 1 ? [band, line] : [line];
  });
}

function wireCurves(found) {
  const share = { tickformat: "~%", nticks: 6, zeroline: false };
  const attempts = document.getElementById("pass-plot"), trust = document.getElementById("reliability-plot");
  if (attempts && found.pass) {
    const ks = [...new Set([...found.pass.base, ...found.pass.trained].map((p) => p[0]))];
    redrawn(attempts, () => Plotly.react(attempts, curveTraces(found.pass, (p) => "k = " + p[0], false),
      curveLayout(attempts, { type: "log", title: "attempts k", tickvals: ks, ticktext: ks.map(String) }, { ...share, title: "solved" }), CONFIG));
  }
  if (trust && found.reliability) {
    redrawn(trust, () => Plotly.react(trust, [
      { type: "scatter", mode: "lines", x: [0, 1], y: [0, 1], hoverinfo: "skip", showlegend: false, line: { color: colour("strong-line"), dash: "dot", width: 1.2 } },
      ...curveTraces(found.reliability, (p) => "confidence " + percent(p[0]), true),
    ], curveLayout(trust, { ...share, title: "confidence", range: [0, 1] }, { ...share, title: "right", range: [-.02, 1.02] }), CONFIG));
  }
}

// Words of two texts as [text, differs] runs; the longest common subsequence, where that is not too long to find.
function wordRuns(left, right) {
  const words = (text) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) || [];
  const a = words(left), b = words(right);
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const n = a.length - head - tail, m = b.length - head - tail, keep = [new Set(), new Set()];
  if ((n + 1) * (m + 1) > 6e6) return null;
  const best = new Uint16Array((n + 1) * (m + 1)), at = (i, j) => i * (m + 1) + j;
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      best[at(i, j)] = a[head + i] === b[head + j] ? best[at(i + 1, j + 1)] + 1 : Math.max(best[at(i + 1, j)], best[at(i, j + 1)]);
    }
  }
  for (let i = 0, j = 0; i < n && j < m;) {
    if (a[head + i] === b[head + j]) { keep[0].add(head + i++); keep[1].add(head + j++); }
    else if (best[at(i + 1, j)] >= best[at(i, j + 1)]) i++;
    else j++;
  }
  return [a, b].map((list, side) => {
    const runs = [];
    list.forEach((text, k) => {
      const differs = k >= head && k < list.length - tail && !keep[side].has(k);
      if (runs.length && runs[runs.length - 1][1] === differs) runs[runs.length - 1][0] += text;
      else runs.push([text, differs]);
    });
    return runs;
  });
}

function sideBySide(base, trained) {
  const runs = wordRuns(base, trained) || [[[base, false]], [[trained, false]]];
  return element("div", { class: "pair" }, ...["Base", "Trained"].map((name, side) => {
    const parts = runs[side].map(([text, differs]) => (differs ? element(side ? "ins" : "del", {}, visible(text.replace(/\n/g, "\u21b5\n"))) : visible(text)));
    const empty = runs[side].every(([text]) => !text);
    return element("div", {}, element("h5", {}, name),
      empty ? element("p", { class: "none" }, "empty") : element("pre", { tabindex: "0", dir: "auto" }, ...parts));
  }));
}

const ALL = "All prompts", PICKED = "Pairs chosen by any analyzer", PER_PAGE = 12;
const ORDERS = {
  "as in the run": null,
  "trained longer": (row) => row.pairs[0][0].length - row.pairs[0][1].length,
  "trained shorter": (row) => row.pairs[0][1].length - row.pairs[0][0].length,
};

function wireTexts(packed) {
  const host = document.getElementById("texts");
  if (!host) return;
  const get = (name) => document.getElementById("texts-" + name);
  const rows = packed.map(([probe, prompt, part, pairs, chosen, about, note]) => ({ probe, prompt, part, pairs, chosen, about, note }));
  const analyzers = [...new Set(rows.map((row) => row.chosen).filter(Boolean))];
  const parts = [...new Set(rows.map((row) => row.part).filter(Boolean))].sort();
  const option = (value, text) => element("option", { value }, visible(text || value));
  if (analyzers.length) get("chosen").append(option(PICKED), ...analyzers.map((name) => option("by " + name, "chosen by " + name.replace(/_/g, " "))));
  if (rows.some((row) => !row.chosen)) get("chosen").append(option(ALL));
  get("part").append(option("", "all"), ...parts.map((name) => option(name)));
  get("parts").hidden = parts.length < 2;
  get("order").append(...Object.keys(ORDERS).map((name) => option(name)));
  let shown = [], page = 0, current = null, sample = 0;
  const pages = () => Math.max(Math.ceil(shown.length / PER_PAGE), 1);

  function refresh() {
    const which = get("chosen").value, part = get("part").value, words = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const order = ORDERS[get("order").value];
    shown = rows.filter((row) => (which === ALL ? !row.chosen : row.chosen && (which === PICKED || which === "by " + row.chosen))
      && (!part || row.part === part) && (!get("differ").checked || row.pairs.some(([b, t]) => b !== t)) && matches(row, words));
    if (order) shown = shown.map((row, k) => [order(row), k, row]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((entry) => entry[2]);
    page = 0;
    choose(shown[0] || null);
  }

  function matches(row, words) {
    if (!words.length) return true;
    row.all = row.all || [row.probe, row.prompt, row.about, ...row.pairs.flat()].join("\n").toLowerCase();
    return words.every((word) => row.all.includes(word));
  }

  function list() {
    const part = shown.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    get("list").replaceChildren(...part.map((row) => {
      const about = [row.part, row.chosen && row.about].filter(Boolean).join(" \u00b7 ");
      const button = element("button", { type: "button", "aria-current": row === current ? "true" : null },
        element("span", { class: "said", dir: "auto" }, visible(row.prompt.slice(0, 200) || row.probe)), about ? element("small", {}, visible(about)) : "");
      button.addEventListener("click", () => {
        choose(row);
        get("list").querySelector("[aria-current]").focus({ preventScroll: true });
        if (innerWidth < 1024) get("pair").scrollIntoView({ block: "start" }); // there the pair stands below the list
      });
      return element("li", {}, button);
    }));
    const from = part.length ? page * PER_PAGE + 1 : 0;
    get("status").textContent = from + "\u2013" + (page * PER_PAGE + part.length) + " of " + shown.length.toLocaleString("en");
    get("back").disabled = page === 0;
    get("forth").disabled = page >= pages() - 1;
  }

  function choose(row) {
    current = row;
    sample = 0;
    list();
    pair();
  }

  function pair() {
    const row = current;
    if (!row) {
      get("pair").replaceChildren(element("p", { class: "notice" }, "Nothing fits these filters."));
      return;
    }
    const steps = element("div", { class: "toolbar start" });
    if (row.pairs.length > 1) {
      const select = element("select", {}, ...row.pairs.map((_, k) => option(k, k + 1 + " of " + row.pairs.length)));
      select.value = String(sample);
      select.addEventListener("change", () => { sample = Number(select.value); pair(); get("pair").querySelector("select").focus(); });
      steps.append(element("label", { class: "field" }, "Sample ", select));
    }
    const label = [row.probe, row.part, row.chosen && "chosen by " + row.chosen.replace(/_/g, " "), row.about].filter(Boolean).join(" \u00b7 ");
    get("pair").replaceChildren(element("h5", {}, "Prompt"), element("p", { class: "fine" }, visible(label)),
      element("pre", { class: "asked", tabindex: "0", dir: "auto" }, visible(row.prompt)), row.pairs.length > 1 ? steps : "",
      sideBySide(...row.pairs[sample]), row.note ? element("p", { class: "note" }, visible(row.note)) : "");
  }

  const turn = (to) => { page = Math.min(Math.max(to, 0), pages() - 1); list(); };
  ["chosen", "part", "order", "differ"].forEach((name) => get(name).addEventListener("change", refresh));
  get("search").addEventListener("input", refresh);
  get("back").addEventListener("click", () => turn(page - 1));
  get("forth").addEventListener("click", () => turn(page + 1));
  get("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], place = shown.indexOf(current) + step;
    if (!step || place < 0 || place >= shown.length) return;
    event.preventDefault();
    page = Math.floor(place / PER_PAGE);
    choose(shown[place]);
    get("list").querySelector("[aria-current]").focus();
  });
  refresh();
}

function wireBehaviour() {
  const found = figures.behaviour;
  if (!found) return;
  wireLengths(found.lengths);
  wireCurves(found);
  wireTexts(found.texts);
}
