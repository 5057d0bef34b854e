// Opens what belongs to a row below it (its document, a value of it), loaded when it is first asked for.
(() => {
  const below = (row) => {
    const next = row.nextElementSibling;
    if (next?.classList.contains("doc-row")) return next;
    const place = document.createElement("tr");
    place.className = "doc-row";
    place.hidden = true;
    const cell = document.createElement("td");
    cell.colSpan = row.cells.length;
    place.append(cell);
    row.after(place);
    return place;
  };

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-document], [data-below]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const row = link.closest("tr");
    const place = below(row);
    const address = link.dataset.document ?? link.dataset.below;
    const same = place.dataset.shows === address;
    if (!same) {
      await htmx.ajax("GET", address, { target: place.cells[0], swap: "innerHTML" });
      place.dataset.shows = address;
    }
    place.hidden = same && !place.hidden;
    for (const other of row.querySelectorAll("[data-document], [data-below]")) {
      other.setAttribute("aria-expanded", String(other === link && !place.hidden));
    }
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const row = event.detail.elt?.closest?.("tr[id^=row-]") ?? event.detail.target?.closest?.("tr[id^=row-]");
    const pin = row?.querySelector("[data-pin]");
    if (pin) row.classList.toggle("is-pinned", pin.getAttribute("aria-pressed") === "true");
  });
})();
