// The two tables: one row per tensor, and one row per measurement.
function measurementRows() {
  const spilled = figures.spilled;
  const rows = result.measurements.map((m) => ({
    metric: m.metric, subjects: m.subjects, scope: m.scope || {}, value: m.value, n: m.n, reason: m.reason,
    approximate: m.approximate, interval: m.interval, test: m.test, effect: m.effect,
  }));
  for (const [metric, subjects, scope, value, n, reason, approximate] of spilled.rows) {
    rows.push({
      metric: spilled.metrics[metric], subjects: spilled.subjects[subjects], scope: spilled.scopes[scope],
      value, n, reason, approximate,
    });
  }
  return rows;
}

function present(value) {
  return value !== null && value !== undefined;
}

function certainty(row) {
  const metric = metricOf(row.metric), words = [];
  if (present(row.interval)) {
    const { low, high, level, method } = row.interval;
    words.push("[" + quantity(low, metric) + ", " + quantity(high, metric) + "] (" + percent(level) + ", " + method + ")");
  }
  if (present(row.test)) {
    words.push("p = " + number(row.test.p_value) + " (" + row.test.name + ")");
    if (present(row.test.p_adjusted)) words.push("adjusted p = " + number(row.test.p_adjusted));
  }
  if (present(row.effect)) words.push(row.effect.name + " = " + number(row.effect.value));
  if (row.approximate) words.push("approximate");
  if (present(row.reason)) words.push(row.reason);
  return visible(words.join("; "));
}

function measurementTable(host, rows) {
  const families = [...new Set(rows.map((row) => row.metric))].sort();
  dataTable(host, {
    label: "Every measurement", noun: "measurement", rows,
    columns: [
      { label: "Metric", kind: "text", text: (r) => visible(r.metric), key: (r) => r.metric },
      { label: "Place", kind: "text", class: "wide", text: (r) => place(r.scope), key: (r) => place(r.scope) },
      { label: "Subjects", kind: "text", text: (r) => visible(r.subjects.join(" \u2192 ")), key: (r) => r.subjects.join(" ") },
      { label: "Value", kind: "number", text: (r) => quantity(r.value, metricOf(r.metric)), key: (r) => r.value,
        hint: (r) => (r.value === null ? r.reason || "no reason given" : String(r.value)) },
      { label: "n", kind: "number", text: (r) => (present(r.n) ? number(r.n) : "\u2013"), key: (r) => r.n },
      { label: "How sure", kind: "text", class: "wide", text: (r) => certainty(r) || "\u2013", key: certainty },
    ],
    filters: [
      { label: "Metric", options: families, value: (r) => r.metric },
      { label: "Undefined only", test: (r) => r.value === null },
    ],
  });
}

function tensorTable(host, rows) {
  const tensors = new Map(), columns = new Map();
  for (const row of rows) {
    if (row.scope.tensor === undefined || row.scope.head !== undefined) continue;
    const contrast = row.subjects.join() === figures.contrast.join();
    const key = row.metric + "\n" + row.subjects.join();
    if (!columns.has(key)) {
      const short = row.metric.replace(/^weight\./, "");
      columns.set(key, { metric: metricOf(row.metric), label: contrast ? short : short + " \u00b7 " + row.subjects.join(" \u2192 ") });
    }
    if (!tensors.has(row.scope.tensor)) tensors.set(row.scope.tensor, { scope: row.scope, cells: new Map() });
    tensors.get(row.scope.tensor).cells.set(key, row);
  }
  if (!tensors.size) {
    host.append(element("p", { class: "notice" }, "This document holds no measurements of single tensors."));
    return;
  }
  const list = [...tensors.values()];
  const modules = [...new Set(list.map((t) => t.scope.module).filter(present))].sort();
  const changed = (t) => [...t.cells.values()].some((c) => /^weight\.delta\.(norm|relative)$/.test(c.metric) && c.value !== 0);
  dataTable(host, {
    label: "Tensors", noun: "tensor", rows: list,
    columns: [
      { label: "Tensor", kind: "text", text: (t) => visible(t.scope.tensor), key: (t) => t.scope.tensor },
      { label: "Layer", kind: "number", text: (t) => (present(t.scope.layer) ? String(t.scope.layer) : "\u2013"), key: (t) => t.scope.layer },
      { label: "Module", kind: "text", text: (t) => visible(t.scope.module || "\u2013"), key: (t) => t.scope.module },
      ...[...columns].map(([key, column]) => ({
        label: visible(column.label), title: column.metric.id + ": " + column.metric.summary, kind: "number",
        text: (t) => (t.cells.has(key) ? quantity(t.cells.get(key).value, column.metric) : "\u2013"),
        key: (t) => (t.cells.has(key) ? t.cells.get(key).value : undefined),
        hint: (t) => {
          const row = t.cells.get(key);
          return !row ? "not measured" : row.value === null ? row.reason || "no reason given" : String(row.value);
        },
      })),
    ],
    filters: [
      { label: "Module", options: modules, value: (t) => t.scope.module },
      { label: "Changed only", test: changed },
    ],
  });
}
