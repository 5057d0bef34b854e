// The timeline: a stretch is brushed with the pointer or the keys and listed below; an event opens beside it.
(() => {
  const panel = document.querySelector("[data-timeline]");
  const plot = panel?.querySelector("[data-plot]");
  const address = panel?.dataset.timeline;

  const show = async (link) => {
    const place = document.getElementById("doc");
    await htmx.ajax("GET", link.dataset.row, { target: place, swap: "innerHTML" });
    for (const other of document.querySelectorAll("[aria-current=event]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "event");
    const box = place.getBoundingClientRect();
    if (box.top < 0 || box.top > innerHeight - 120) place.scrollIntoView({ block: "start" });
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-row]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link);
  });
  if (!plot) return;

  const from = Date.parse(plot.dataset.from);
  const to = Date.parse(plot.dataset.to);
  const left = Number(plot.dataset.left);
  const width = Number(plot.dataset.width);
  const brush = plot.querySelector("[data-brush]");
  const form = panel.querySelector("[data-stretch]");
  const zoom = form.querySelector("[data-zoom]");

  const shareAt = (x) => {
    const box = plot.getBoundingClientRect();
    return Math.min(1, Math.max(0, (((x - box.left) / box.width) * 100 - left) / width));
  };
  const moment = (share) => from + share * (to - from);
  const text = (time) => new Date(time).toISOString().slice(0, 23);

  const draw = (one, other) => {
    const low = (Math.min(one, other) - from) / (to - from);
    const high = (Math.max(one, other) - from) / (to - from);
    brush.setAttribute("x", `${left + low * width}%`);
    brush.setAttribute("width", `${Math.max(0, high - low) * width}%`);
  };

  const list = (one, other) => {
    const start = text(Math.floor(Math.min(one, other)));
    const end = text(Math.ceil(Math.max(one, other)));
    form.elements.start.value = start;
    form.elements.end.value = end;
    const query = new URLSearchParams(new FormData(form));
    zoom.hidden = false;
    zoom.href = `?${new URLSearchParams({ from: start, to: end })}`;
    history.replaceState(null, "", `${address}?${query}`);
    htmx.ajax("GET", `${address}?${query}`, { target: "#selected", swap: "innerHTML" });
  };

  let began = null;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("a")) return;
    event.preventDefault();
    began = moment(shareAt(event.clientX));
    plot.setPointerCapture(event.pointerId);
    draw(began, began);
  });
  plot.addEventListener("pointermove", (event) => {
    if (began !== null) draw(began, moment(shareAt(event.clientX)));
  });
  plot.addEventListener("pointerup", (event) => {
    if (began === null) return;
    const ended = moment(shareAt(event.clientX));
    if (Math.abs(ended - began) > (to - from) / 400) list(began, ended);
    else draw(began, began);
    began = null;
  });
  plot.addEventListener("pointercancel", () => {
    began = null;
  });

  // One stop for Tab; arrows go on in order of time, over all lanes.
  const marks = [...plot.querySelectorAll("a.mark")].sort((a, b) => Date.parse(a.dataset.at) - Date.parse(b.dataset.at));
  const stop = (mark) => {
    for (const other of marks) other.setAttribute("tabindex", other === mark ? "0" : "-1");
  };
  stop(marks[0]);
  let anchor = null;
  plot.addEventListener("keydown", (event) => {
    const at = marks.indexOf(event.target.closest("a.mark"));
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -marks.length, End: marks.length };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    const next = marks[Math.min(marks.length - 1, Math.max(0, at + steps[event.key]))];
    stop(next);
    next.focus();
    if (!event.shiftKey) {
      anchor = null;
      return;
    }
    anchor ??= marks[at];
    const times = [anchor, next].flatMap((mark) => [mark.dataset.at, mark.dataset.until ?? mark.dataset.at]).map(Date.parse);
    draw(Math.min(...times), Math.max(...times));
    list(Math.min(...times), Math.max(...times));
  });
})();
