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
  // A large viewer comes when the reader is near; the rest follow once the page has been still, for paper wants them all.
  window.medsrPlace = (id, html) => {
    const place = document.getElementById(id);
    place.innerHTML = html;
    place.style.minHeight = "";
    for (const written of place.querySelectorAll("script")) {
      const live = document.createElement("script"); // one that came with innerHTML does not run
      live.textContent = written.textContent;
      written.replaceWith(live);
    }
  };
  const bring = (place) => {
    if (!place.dataset.script) return;
    const script = document.createElement("script");
    script.src = place.dataset.script;
    delete place.dataset.script;
    document.head.append(script);
  };
  const places = [...document.querySelectorAll(".medsr-later")];
  const near = new IntersectionObserver(
    (seen) => seen.filter((entry) => entry.isIntersecting).forEach((entry) => bring(entry.target)),
    { rootMargin: "800px" },
  );
  places.forEach((place) => near.observe(place));
  window.addEventListener("load", () => setTimeout(() => places.forEach(bring), 5000));
  window.addEventListener("beforeprint", () => {
    places.forEach(bring);
    document.querySelectorAll("img[loading=lazy]").forEach((image) => { image.loading = "eager"; });
  });

  const both = () => (reachable(), named());
  window.addEventListener("load", both);
  window.addEventListener("resize", reachable);
  let later;
  new MutationObserver(() => {
    clearTimeout(later);
    later = setTimeout(both, 100);
  }).observe(document.body, { childList: true, subtree: true });
})();
