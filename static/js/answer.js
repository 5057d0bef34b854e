// The answer form: drafts are kept as they are typed, and pinned rows appear as facts to cite.
(() => {
  const form = document.querySelector("form[data-draft]");
  if (!form) return;
  const status = document.querySelector("[data-draft-status]");
  const clock = () => new Date().toISOString().slice(11, 19);
  let timer = 0;
  let saving = Promise.resolve();
  let sent = false;

  // A draft has no file: that is sent once, with the confirmation.
  const typed = () => {
    const data = new FormData(form);
    data.delete("file");
    return data;
  };

  const save = async () => {
    if (sent) return;
    try {
      const reply = await fetch(form.dataset.draft, {
        method: "POST",
        body: typed(),
        headers: { "X-Requested-With": "fetch" },
      });
      if (reply.redirected || !reply.ok) throw new Error(String(reply.status));
      const kept = await reply.json();
      // The next save goes on from this one; what another tab saved meanwhile is kept beside it.
      form.elements.draft.value = kept.mark;
      const beside = kept.others ? " Another tab of yours wrote something else: reload to see both." : "";
      status.textContent = `Draft saved ${clock()} UTC.${beside}`;
    } catch {
      status.textContent = "Draft not saved: the server does not answer. Copy your text before you leave.";
    }
  };
  const soon = () => {
    status.textContent = "Draft not saved yet";
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = 0;
      saving = saving.then(save);
    }, 700);
  };
  // A choice that is not open keeps its focus, so that its reason is read, but can't be taken.
  form.addEventListener("change", (event) => {
    if (event.target.matches("input[type=radio][aria-disabled=true]")) event.target.checked = false;
  });
  form.addEventListener("input", soon);
  form.addEventListener("submit", () => {
    sent = true;
    clearTimeout(timer);
  });
  addEventListener("pagehide", () => {
    if (timer && !sent && status.textContent === "Draft not saved yet") {
      navigator.sendBeacon(form.dataset.draft, typed());
    }
  });
})();
