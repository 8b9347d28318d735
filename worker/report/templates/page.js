"use strict";
// The table of rows is whole without this; here it learns to be searched and sorted.
(function () {
  const table = document.getElementById("rows");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, function (row, at) {
    return { row: row, at: at, text: row.textContent.toLowerCase(), outcome: row.dataset.outcome };
  });
  const tools = document.querySelector(".tools");
  const search = document.getElementById("search");
  const outcome = document.getElementById("outcome");
  const shown = document.getElementById("shown");

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const each of rows) {
      const fits = (!outcome.value || each.outcome === outcome.value) && words.every((word) => each.text.includes(word));
      each.row.hidden = !fits;
      count += fits;
    }
    const all = rows.length.toLocaleString("en");
    shown.textContent = count === rows.length ? all + " rows" : count.toLocaleString("en") + " of " + all + " rows";
  }

  function key(each, column, numeric) {
    const text = each.row.cells[column].textContent.trim();
    return numeric ? (text === "" ? -1 : Number(text.replace(/,/g, ""))) : text.toLowerCase();
  }

  function sort(header, column) {
    const numeric = header.classList.contains("number");
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((each) => [key(each, column, numeric), each]);
    keyed.sort(function (one, other) {
      const order = one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0;
      return (down ? -order : order) || one[1].at - other[1].at;
    });
    body.append(...keyed.map((pair) => pair[1].row));
  }

  Array.from(table.tHead.rows[0].cells).forEach(function (header, column) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(header, column));
    header.replaceChildren(button);
  });
  for (const name of Array.from(new Set(rows.map((each) => each.outcome))).sort()) {
    const option = document.createElement("option");
    option.value = name;
    option.textContent = name.replace(/_/g, " ");
    outcome.append(option);
  }
  search.addEventListener("input", filter);
  outcome.addEventListener("change", filter);
  tools.hidden = false;
  filter();
})();
