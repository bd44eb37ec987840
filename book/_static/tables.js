// Tables of numbers: a click on a heading sorts, up, then down; a field above the tables hides the rows that lack a word.
// Cells sort by their first number, else as words; "–" is last.
document.addEventListener("DOMContentLoaded", () => {
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    if (text.startsWith("(")) return 0; // ZIP's own value, from which gains are counted
    const number = text.replaceAll("−", "-").replaceAll(",", "").match(/^×?([-+]?\d+(\.\d+)?(e[-+]?\d+)?)/i);
    return number ? Number(number[1]) : text === "–" ? null : text.toLowerCase();
  };
  const sortable = (table) => {
    table.classList.add("medsr-sortable");
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.className = "medsr-sort";
      button.title = "Sort by this column";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") === "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
          return up ? order : -order;
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  };
  const tables = [...document.querySelectorAll(".bd-article table")].filter((t) => t.tHead?.rows[0].cells.length >= 4);
  tables.forEach(sortable);

  const place = document.querySelector(".medsr-filter");
  if (!place || !tables.length) return;
  place.innerHTML =
    '<label>Show only rows with <input type="search" placeholder="SRResNet" autocomplete="off"></label> ' +
    '<span role="status"></span>';
  const [field, status] = [place.querySelector("input"), place.querySelector("span")];
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const table of tables) {
      let here = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        here += !row.hidden;
      }
      table.classList.toggle("medsr-empty", !here);
      left += here;
    }
    status.textContent = words.length ? `${left} rows` : "";
  });
});
