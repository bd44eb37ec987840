// What the theme and the quizzes leave out for those who read by keyboard or by ear.
(() => {
  // What scrolls sideways can be reached with Tab, and then moved with the arrow keys.
  const reachable = () => {
    for (const box of document.querySelectorAll(".bd-article :is(pre, table, mjx-container, figure > div, .output)")) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls && !box.hasAttribute("tabindex")) box.tabIndex = 0;
    }
  };
  // The field of a quiz is named by its question.
  const named = () => {
    for (const field of document.querySelectorAll(".Quiz input.Input-text:not([aria-label])")) {
      const question = field.closest(".Quiz").querySelector(".QuestionText, [id^=quizQ], .Question") ?? field.closest(".Quiz");
      field.setAttribute("aria-label", `Your answer to: ${question.textContent.trim().slice(0, 200)}`);
    }
  };
  const both = () => (reachable(), named());
  window.addEventListener("load", both);
  window.addEventListener("resize", reachable);
  let later;
  new MutationObserver(() => {
    clearTimeout(later);
    later = setTimeout(both, 100);
  }).observe(document.body, { childList: true, subtree: true });
})();
