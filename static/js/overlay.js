// The overlay's editor: Tab indents (Escape first, to leave by Tab), a fault's place puts the cursor there.
(() => {
  const area = document.querySelector("textarea[data-editor]");
  if (!area) return;
  let leaves = false;
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      leaves = true;
    } else if (event.key === "Tab" && !event.shiftKey && !leaves) {
      event.preventDefault();
      area.setRangeText("    ", area.selectionStart, area.selectionEnd, "end");
      area.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (event.key !== "Shift") {
      leaves = false;
    }
  });
  area.addEventListener("blur", () => {
    leaves = false;
  });
  document.addEventListener("click", (event) => {
    const place = event.target.closest("[data-line]");
    if (!place) return;
    const lines = area.value.split("\n");
    const number = Math.min(Number(place.dataset.line), lines.length);
    const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
    area.focus();
    area.setSelectionRange(start, start + lines[number - 1].length);
    area.scrollTop = ((number - 4) / lines.length) * area.scrollHeight;
  });
  // A text that is not kept yet is not left by mistake.
  let kept = area.value;
  area.form.addEventListener("submit", () => {
    kept = area.value;
  });
  addEventListener("beforeunload", (event) => {
    if (area.value !== kept) event.preventDefault();
  });
})();
