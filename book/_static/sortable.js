// Tables that sort by a click on a heading: up, then down. Cells sort by their first number, else as words; "–" is last.
document.addEventListener("DOMContentLoaded", () => {
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    if (text.startsWith("(")) return 0; // ZIP's own value, from which gains are counted
    const number = text.replaceAll("−", "-").replaceAll(",", "").match(/^×?([-+]?\d+(\.\d+)?(e[-+]?\d+)?)/i);
    return number ? Number(number[1]) : text === "–" ? null : text.toLowerCase();
  };
  for (const table of document.querySelectorAll(".bd-article table")) {
    if (table.tHead.rows[0].cells.length < 4) continue; // words, not numbers
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
  }
});
