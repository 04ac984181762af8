// Tables that are in the page already, one body for each entry: sorted, searched and filtered in place. Columns that
// sort have `data-sort` in their head and `data-key` in their cells; an empty key is a missing value and sorts last.
const FIRST_ENTRIES = 25;

function wireSortable() {
  document.querySelectorAll(".sortable").forEach((host) => {
    const table = host.querySelector("table"), entries = [...table.tBodies], noun = host.dataset.noun;
    const heads = [...table.tHead.rows[0].cells];
    const search = element("input", { type: "search", placeholder: "Search " + noun + "s", "aria-label": "Search " + noun + "s" });
    const order = element("select", {}, element("option", { value: "" }, "as ranked"));
    const ways = element("select", {});
    [["", "All"], ["up", "Rose"], ["down", "Fell"], ["none", "Not significant"]].forEach(([value, name]) => {
      if (!value || entries.some((entry) => entry.dataset.way === value)) ways.append(element("option", { value }, name));
    });
    const more = element("button", { type: "button", class: "button" });
    const status = element("span", { class: "status", role: "status" });
    const texts = entries.map((entry) => entry.textContent.toLowerCase());
    let sorted = null, direction = 1, limit = FIRST_ENTRIES;

    heads.forEach((head, index) => {
      if (!head.dataset.sort) return;
      const button = element("button", { type: "button" }, ...head.childNodes);
      const name = head.dataset.label || button.textContent.trim();
      if (head.dataset.label) button.setAttribute("aria-label", "Sort by " + name);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(index));
      order.append(element("option", { value: index }, name.toLowerCase()));
    });
    host.prepend(element("div", { class: "grid-bar" }, search,
      element("label", { class: "field" }, "Show ", ways), element("label", { class: "field" }, "Order ", order)));
    host.append(element("div", { class: "pager" }, status, more));
    search.addEventListener("input", draw);
    ways.addEventListener("change", draw);
    order.addEventListener("change", () => { sorted = null; if (order.value === "") reset(); else sortBy(Number(order.value)); });
    more.addEventListener("click", () => { limit = entries.length; draw(); });
    draw();

    function natural(index) {
      return heads[index].dataset.sort === "text" || heads[index].dataset.first === "ascending" ? 1 : -1;
    }

    function reset() {
      heads.forEach((head) => { if (head.dataset.sort) head.setAttribute("aria-sort", "none"); });
      draw();
    }

    function sortBy(index) {
      direction = sorted === index ? -direction : natural(index);
      sorted = index;
      order.value = String(index);
      heads.forEach((head, i) => {
        if (head.dataset.sort) head.setAttribute("aria-sort", i !== index ? "none" : direction > 0 ? "ascending" : "descending");
      });
      draw();
    }

    function draw() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const key = (k) => entries[k].rows[0].cells[sorted].dataset.key;
      let shown = entries.map((_, k) => k);
      if (sorted !== null) {
        shown.sort((a, b) => {
          const x = key(a), y = key(b);
          if (x === "" || y === "") return (x === "") - (y === "") || a - b;
          return direction * (Number(x) - Number(y)) || a - b;
        });
      }
      const fits = (k) => (!ways.value || entries[k].dataset.way === ways.value) && words.every((word) => texts[k].includes(word));
      let left = limit, found = 0;
      shown.forEach((k) => {
        const fit = fits(k);
        found += fit;
        entries[k].hidden = !(fit && left-- > 0);
        table.append(entries[k]);
      });
      const seen = Math.min(found, limit);
      status.textContent = seen.toLocaleString("en") + " of " + found.toLocaleString("en") + " " + noun + (found === 1 ? "" : "s")
        + (found === entries.length ? "" : " (of " + entries.length.toLocaleString("en") + ")");
      more.hidden = found <= limit;
      more.textContent = "Show all";
    }
  });

  document.querySelectorAll(".switched").forEach((host) => {
    const chips = [...host.querySelectorAll(".chip")];
    chips.forEach((chip) => chip.addEventListener("click", () => {
      chips.forEach((one) => one.setAttribute("aria-pressed", String(one === chip)));
      host.querySelectorAll(".panel").forEach((panel) => panel.classList.toggle("unchosen", panel.dataset.choice !== chip.dataset.choice));
    }));
  });
}
