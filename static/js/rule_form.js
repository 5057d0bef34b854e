// The lag tolerance of a rule, while its schedule is being typed. The server says the same on saving.
(() => {
  const SHORT = 60;

  const said = (seconds) => {
    const minutes = Math.floor(seconds / 60);
    const rest = Math.floor(seconds % 60);
    return [minutes ? `${minutes} min` : "", rest || !minutes ? `${rest} s` : ""].filter(Boolean).join(" ");
  };

  const sentence = (interval, lookback, maxspan) => {
    if (lookback < interval) {
      return `Refused: a look-back of ${lookback} s is shorter than the interval of ${interval} s.`;
    }
    const tolerance = lookback - interval - maxspan;
    if (tolerance < 0) {
      return (
        `Negative by ${said(-tolerance)}: two events that arrive in time can still be missed together. ` +
        "Lengthen the look-back."
      );
    }
    if (tolerance < SHORT) {
      return (
        `Only ${said(tolerance)}: events are often later than that. ` +
        "Lengthen the look-back or shorten the interval."
      );
    }
    return `An event that arrives up to ${said(tolerance)} late is surely found on schedule.`;
  };

  document.addEventListener("DOMContentLoaded", () => {
    const interval = document.getElementById("id_interval_seconds");
    const lookback = document.getElementById("id_lookback_seconds");
    const place = document.querySelector(".field-lag_tolerance .readonly");
    if (!interval || !lookback || !place) return;
    place.setAttribute("aria-live", "polite");
    const show = () => {
      const [every, back] = [interval.valueAsNumber, lookback.valueAsNumber];
      if (Number.isNaN(every) || Number.isNaN(back)) return;
      place.textContent = sentence(every, back, Number(interval.dataset.maxspan));
    };
    interval.addEventListener("input", show);
    lookback.addEventListener("input", show);
    // A form that came back holds what was typed, not what is stored.
    show();
  });
})();
