// Opens an event's document below its row, loaded when it is first asked for.
(() => {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-document]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const row = link.closest("tr");
    let place = row.nextElementSibling;
    if (!place?.classList.contains("doc-row")) {
      place = document.createElement("tr");
      place.className = "doc-row";
      place.hidden = true;
      const cell = document.createElement("td");
      cell.colSpan = row.cells.length;
      place.append(cell);
      row.after(place);
      await htmx.ajax("GET", link.dataset.document, { target: cell, swap: "innerHTML" });
    }
    place.hidden = !place.hidden;
    link.setAttribute("aria-expanded", String(!place.hidden));
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const row = event.detail.elt?.closest?.("tr[id^=row-]") ?? event.detail.target?.closest?.("tr[id^=row-]");
    const pin = row?.querySelector("[data-pin]");
    if (pin) row.classList.toggle("is-pinned", pin.getAttribute("aria-pressed") === "true");
  });
})();
