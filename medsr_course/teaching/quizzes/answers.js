(() => {
  "use strict"; // A quiz field understands 6,25 and 6.25% and 1/16, and says what it is; once per page.
  if (window.medsrAnswers) return;
  window.medsrAnswers = true;
  const isField = (target) => target instanceof HTMLInputElement && target.matches("input.Input-text[data-answers]");

  function number(text) {
    const plain = text.trim().replace(/\s/g, "").replace(",", ".").replace(/%$/, "");
    const parts = plain.split("/").map(Number);
    if (!plain || parts.length > 2 || parts.some(Number.isNaN)) return NaN;
    return parts.length === 2 ? parts[0] / parts[1] : parts[0];
  }

  function understood(field) {
    const text = field.value, value = number(text);
    if (Number.isNaN(value)) return;
    const meant = /%|\//.test(text) ? [value, value / 100, value * 100] : [value];
    const right = JSON.parse(field.dataset.answers).filter((answer) => answer.correct && answer.range);
    const found = meant.find((one) => right.some(({ range }) => one >= range[0] && one < range[1]));
    field.value = String(found === undefined ? value : found);
  }

  document.addEventListener("keypress", (event) => {
    if (!isField(event.target)) return;
    if (event.key === "Enter") understood(event.target);
    else if (/^[0-9.,%\/eE+\- ]$/.test(event.key)) event.stopImmediatePropagation(); // the quiz would refuse some
  }, true);
  document.addEventListener("focusin", (event) => {
    if (isField(event.target)) event.target.setAttribute("aria-label", "Your answer, a number; press Enter");
  });
  const name = () => document.querySelectorAll("input.Input-text[data-answers]:not([aria-label])")
    .forEach((field) => field.setAttribute("aria-label", "Your answer, a number; press Enter"));
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
})();
