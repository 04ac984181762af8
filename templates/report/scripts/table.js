// A sortable, searchable table that keeps one page of rows in the document, however many there are.
// Columns: {label, title, kind: "text" | "number", text(row), key(row), class}. `key` of null or undefined sorts last.
function dataTable(host, { label, columns, rows, noun, filters }) {
  let shown = rows, page = 0, size = 25, sorted = null, direction = 1;
  const names = new Map();

  const search = element("input", { type: "search", placeholder: "Search " + noun + "s", "aria-label": "Search " + noun + "s" });
  const bar = element("div", { class: "grid-bar" }, search);
  const selects = (filters || []).map((filter) => {
    if (filter.options) {
      const select = element("select", {}, element("option", { value: "" }, "All"));
      filter.options.forEach((option) => select.append(element("option", { value: option }, option)));
      bar.append(element("label", { class: "field" }, filter.label + " ", select));
      select.addEventListener("change", refresh);
      return { accepts: (row) => select.value === "" || filter.value(row) === select.value };
    }
    const box = element("input", { type: "checkbox" });
    bar.append(element("label", { class: "check" }, box, filter.label));
    box.addEventListener("change", refresh);
    return { accepts: (row) => !box.checked || filter.test(row) };
  });

  const heads = columns.map((column, index) => {
    const button = element("button", { type: "button", title: column.title || null }, column.label);
    button.addEventListener("click", () => sortBy(index));
    return element("th", { scope: "col", "aria-sort": "none", class: column.kind === "number" ? "num" : null }, button);
  });
  const body = element("tbody");
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const status = element("span", { class: "status", role: "status" });
  const sizes = element("select", { "aria-label": "Rows per page" });
  [25, 100, 500].forEach((n) => sizes.append(element("option", { value: n }, n + " per page")));
  const [first, back, forth, last] = ["First", "Previous", "Next", "Last"].map((text) =>
    element("button", { type: "button", class: "button" }, text));
  const pages = () => Math.max(Math.ceil(shown.length / size), 1);

  search.addEventListener("input", refresh);
  sizes.addEventListener("change", () => { size = Number(sizes.value); page = 0; draw(); });
  first.addEventListener("click", () => turn(0));
  back.addEventListener("click", () => turn(page - 1));
  forth.addEventListener("click", () => turn(page + 1));
  last.addEventListener("click", () => turn(pages() - 1));
  host.classList.add("grid");
  host.append(bar, element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, table),
    element("div", { class: "pager" }, status, sizes, first, back, forth, last));
  refresh();

  // Every word must occur somewhere in the row; texts are made when first searched.
  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = rows.filter((row) => selects.every((filter) => filter.accepts(row)) && (!words.length || matches(row, words)));
    if (sorted !== null) sort();
    turn(0);
  }

  function matches(row, words) {
    if (!names.has(row)) {
      names.set(row, columns.filter((c) => c.kind === "text").map((c) => c.text(row)).join("\n").toLowerCase());
    }
    return words.every((word) => names.get(row).includes(word));
  }

  function sortBy(index) {
    const natural = columns[index].kind === "number" ? -1 : 1;
    direction = sorted === index ? -direction : natural;
    sorted = index;
    heads.forEach((head, i) => {
      head.setAttribute("aria-sort", i !== index ? "none" : direction > 0 ? "ascending" : "descending");
    });
    sort();
    turn(0);
  }

  function sort() {
    const { key } = columns[sorted];
    const order = new Intl.Collator("en", { numeric: true }).compare;
    const absent = (value) => value === null || value === undefined;
    shown = shown.slice().sort((a, b) => {
      const x = key(a), y = key(b);
      if (absent(x) || absent(y)) return absent(x) - absent(y);
      return direction * (typeof x === "number" && typeof y === "number" ? x - y : order(String(x), String(y)));
    });
  }

  function turn(to) {
    page = Math.min(Math.max(to, 0), pages() - 1);
    draw();
  }

  function draw() {
    const start = page * size, part = shown.slice(start, start + size);
    body.replaceChildren(...part.map((row) => element("tr", {}, ...columns.map((column, index) => cell(column, row, index)))));
    const range = part.length ? (start + 1).toLocaleString("en") + "\u2013" + (start + part.length).toLocaleString("en") : "0";
    const all = shown.length === rows.length ? "" : " (of " + rows.length.toLocaleString("en") + ")";
    status.textContent = range + " of " + shown.length.toLocaleString("en") + " " + noun + (shown.length === 1 ? "" : "s") + all;
    first.disabled = back.disabled = page === 0;
    forth.disabled = last.disabled = page >= pages() - 1;
  }

  function cell(column, row, index) {
    const text = column.text(row);
    const missing = column.kind === "number" && (column.key(row) === null || column.key(row) === undefined);
    const name = [column.kind === "number" ? "num" : column.class || "", missing ? "undefined" : ""].join(" ").trim();
    const hint = column.hint ? column.hint(row) : null;
    return index === 0 ? element("th", { scope: "row" }, text) : element("td", { class: name || null, title: hint }, text);
  }
}
