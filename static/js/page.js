// What every page has: copying, local times on hover, the keys' list, notices.
(() => {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  const nameTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      time.dataset.local = "";
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const kind = time.title ? `${time.title} · ` : "";
      time.title = `${kind}${local.format(moment)}, your time`;
    }
  };

  const announce = (text) => {
    const place = document.getElementById("live");
    if (place) place.textContent = text;
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Plain HTTP to another machine has no clipboard API.
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "hide";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    announce("Copied");
  };

  const flash = (button) => {
    const use = button.querySelector("use");
    if (!use || button.dataset.flash) return;
    const before = use.getAttribute("href");
    button.dataset.flash = "1";
    use.setAttribute("href", before.replace(/#.*/, "#check"));
    setTimeout(() => {
      use.setAttribute("href", before);
      delete button.dataset.flash;
    }, 1200);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (button) {
      const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
      copy(source ? source.textContent : button.dataset.copy);
      flash(button);
      return;
    }
    const hide = event.target.closest("[data-hide]");
    if (hide) document.getElementById(hide.dataset.hide).hidden = true;
    const dismiss = event.target.closest("[data-dismiss]");
    if (dismiss) dismiss.closest(dismiss.dataset.dismiss)?.remove();
    const disabled = event.target.closest("[aria-disabled='true']");
    if (disabled) event.preventDefault();
  });

  // One copy button that follows the pointer over values: a button in every cell would drown the table.
  const hover = document.getElementById("value-menu");
  let shown = null;
  const place = (value) => {
    shown = value;
    const box = value.getBoundingClientRect();
    hover.hidden = false;
    hover.style.left = `${Math.max(4, Math.min(box.right - hover.offsetWidth + 6, innerWidth - hover.offsetWidth - 4))}px`;
    hover.style.top = `${Math.max(4, box.top - hover.offsetHeight - 2)}px`;
    hover.querySelector("button").dataset.copy = value.dataset.full ?? value.title ?? value.textContent;
  };
  if (hover) {
    document.addEventListener("pointerover", (event) => {
      const value = event.target.closest(".val[data-full]");
      if (value) place(value);
      else if (!event.target.closest("#value-menu") && shown) {
        shown = null;
        setTimeout(() => {
          if (!shown) hover.hidden = true;
        }, 350);
      }
    });
    hover.addEventListener("pointerover", () => {
      shown = hover;
    });
    document.addEventListener("scroll", () => {
      hover.hidden = true;
      shown = null;
    }, true);
  }

  // The case's side columns stick below its head, whose height depends on the text in it.
  const head = document.querySelector(".case-head");
  if (head) {
    new ResizeObserver(() => {
      document.documentElement.style.setProperty("--case-head", `${head.offsetHeight}px`);
    }).observe(head);
  }

  document.addEventListener("htmx:afterSwap", () => nameTimes(document));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    const words = status === 403 ? "You may not do that." : `The server refused it (${status}).`;
    announce(`${words} Reload the page and try again.`);
    const notice = document.getElementById("notice");
    if (!notice) return;
    notice.querySelector("[data-words]").textContent = `${words} Reload the page and try again.`;
    notice.hidden = false;
  });
  document.addEventListener("htmx:sendError", () => {
    const notice = document.getElementById("notice");
    if (!notice) return;
    notice.querySelector("[data-words]").textContent = "The server does not answer. Nothing was saved.";
    notice.hidden = false;
  });
  nameTimes(document);
})();
