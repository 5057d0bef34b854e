// The keyboard: j k Enter a x / ? on lists; j k between questions, e to the answer, Ctrl Enter in it.
(() => {
  const typing = (target) => target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
  const rows = () => [...document.querySelectorAll("[data-rows] tbody tr[data-case]")];
  const current = () => document.querySelector("[data-rows] tr[aria-selected=true]");

  const select = (row, peek = true) => {
    for (const other of rows()) other.removeAttribute("aria-selected");
    row.setAttribute("aria-selected", "true");
    row.scrollIntoView({ block: "nearest" });
    if (peek && window.htmx) htmx.trigger(row, "peek");
  };

  const stepToQuestion = (step) => {
    const all = [...document.querySelectorAll(".q-item")];
    all[all.findIndex((item) => item.matches("[aria-current]")) + step]?.click();
  };

  const move = (step) => {
    const all = rows();
    if (!all.length) return stepToQuestion(step);
    const at = all.indexOf(current());
    select(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]);
  };

  const bulk = () => {
    const bar = document.getElementById("bulk");
    if (!bar) return;
    const count = document.querySelectorAll("[data-rows] tbody input[type=checkbox]:checked").length;
    bar.hidden = count === 0;
    bar.querySelector("[data-count]").textContent = `${count} selected`;
  };

  const acts = {
    j: () => move(1),
    k: () => move(-1),
    Enter: () => current()?.querySelector("a.title")?.click(),
    a: () => document.querySelector("[data-assign-me]:not([aria-disabled=true])")?.click(),
    e: () => {
      const choices = [...document.querySelectorAll("#answer input[name=state]")];
      (choices.find((choice) => choice.checked) ?? choices[0])?.focus();
    },
    x: () => {
      const box = current()?.querySelector("input[type=checkbox]");
      if (box) {
        box.checked = !box.checked;
        bulk();
      }
    },
    "/": () => document.querySelector("input[type=search]")?.focus(),
    "?": () => document.getElementById("keys")?.togglePopover?.(),
    Escape: () => document.querySelector("[data-close-peek]")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const form = event.target.closest("form[data-submit-key]") ?? document.querySelector("form[data-submit-key]");
      if (form) {
        event.preventDefault();
        form.requestSubmit(form.querySelector("button[type=submit]:not([data-side])"));
      }
      return;
    }
    if (event.key === "Escape" && event.target.matches("input[type=search]")) event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary, input")) return;
    if (event.key === "Escape" && document.querySelector(":popover-open")) return;
    const act = acts[event.key];
    if (!act) return;
    if (event.key !== "Escape") event.preventDefault();
    act();
  });

  document.addEventListener("click", (event) => {
    const row = event.target.closest("[data-rows] tr[data-case]");
    if (row && !event.target.closest("a, button, input, label")) select(row);
    if (event.target.closest("[data-close-peek]")) {
      event.preventDefault();
      document.getElementById("peek")?.replaceChildren();
      for (const other of rows()) other.removeAttribute("aria-selected");
      history.replaceState(null, "", event.target.closest("[data-close-peek]").href ?? location.href);
    }
    if (event.target.closest("[data-clear-selection]")) {
      for (const box of document.querySelectorAll("[data-rows] input[type=checkbox]")) box.checked = false;
      bulk();
    }
  });

  // An answer that comes after the panel was closed must not open it again.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id === "peek" && !current()) event.detail.shouldSwap = false;
  });

  // The panel came by htmx and does not know the list's address.
  document.addEventListener("submit", (event) => {
    const back = event.target.querySelector("[data-back]");
    if (back) back.value = location.pathname + location.search;
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) {
      for (const box of document.querySelectorAll("[data-rows] tbody input[type=checkbox]")) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-rows] input[type=checkbox]")) bulk();
  });
})();
