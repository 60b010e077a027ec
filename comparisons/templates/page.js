"use strict";
// Tables: a click on a heading sorts, the field above filters.
function valueOf(row, column) {
  const cell = row.cells[column];
  return "v" in cell.dataset ? Number(cell.dataset.v.replace("inf", "Infinity")) : cell.textContent.trim();
}
function compared(a, b) {
  const numbers = typeof a === "number" && typeof b === "number";
  if (!numbers) return String(a).localeCompare(String(b));
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return a < b ? -1 : a > b ? 1 : 0;
}
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => (descending ? -1 : 1) * compared(valueOf(one, column), valueOf(other, column)));
      table.tBodies[0].append(...rows);
    });
  });
}
for (const field of document.querySelectorAll("[data-filters]")) {
  const rows = [...document.getElementById(field.dataset.filters).tBodies[0].rows];
  const count = field.closest(".tools").querySelector(".count");
  const show = () => {
    const wanted = field.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = wanted ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
  };
  field.addEventListener("input", show);
  show();
}
// The network: what is chosen shows its numbers, which are those of the table of elements.
for (const network of document.querySelectorAll(".network")) {
  const items = [...network.querySelectorAll("[data-names]")];
  const table = document.getElementById(network.dataset.elements);
  const chosen = network.querySelector(".chosen");
  const sample = network.querySelector("select");
  const headings = [...table.tHead.rows[0].cells].map((heading) => heading.textContent);
  const headed = (text) => {
    const cell = document.createElement("th");
    cell.scope = "row";
    cell.textContent = text;
    return cell;
  };
  let current = null;
  const show = (item) => {
    current = item;
    for (const other of items) {
      other.setAttribute("aria-pressed", String(other === item));
      other.setAttribute("tabindex", other === item ? "0" : "-1");
    }
    const names = item.dataset.names.split("|");
    const title = document.createElement("p");
    title.append(document.createElement("strong"));
    title.firstChild.textContent = item.getAttribute("aria-label");
    const mine = [...table.tBodies[0].rows].filter((row) => names.includes(row.dataset.name) &&
      (!row.dataset.sample || !sample || row.dataset.sample === sample.value));
    const shown = document.createElement("table");
    for (const name of ["quantity", "hand", "torch", "error", "tolerance", "verdict"]) {
      const line = shown.insertRow();
      line.append(headed(name), ...mine.map((row) => row.cells[headings.indexOf(name)].cloneNode(true)));
    }
    chosen.replaceChildren(title);
    if (item.dataset.note) {
      const note = document.createElement("p");
      note.textContent = item.dataset.note;
      chosen.append(note);
    }
    if (mine.length) chosen.append(shown);
  };
  items.forEach((item, i) => {
    item.addEventListener("focus", () => show(item));
    item.addEventListener("click", () => item.focus());
    item.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const to = event.key === "Home" ? 0 : event.key === "End" ? items.length - 1 : step && i + step;
      if (items[to]) {
        event.preventDefault();
        items[to].focus();
      }
    });
  });
  const first = items.find((item) => item.dataset.names.split("|").includes(network.dataset.first));
  if (items.length) show(first || items[0]);
  if (sample) sample.addEventListener("change", () => current && show(current));
}
// On paper everything is unfolded.
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
