"use strict";
(() => {
  const bars = [...document.querySelectorAll(".bar")];
  const detail = document.getElementById("detail");
  const jump = document.getElementById("jump");
  const names = {
    words: "operation", who: "process", key: "key", began: "began", ended: "ended",
    answer: "answer", order: "place in the order", before: "state before", after: "state after",
  };
  let shown = null;

  const show = (bar) => {
    if (shown === bar) return;
    if (shown) shown.classList.remove("shown");
    shown = bar;
    bar.classList.add("shown");
    const list = document.createElement("dl");
    for (const [name, title] of Object.entries(names)) {
      const text = bar.dataset[name];
      if (!text) continue;
      const pair = document.createElement("div");
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      term.textContent = title;
      value.textContent = text;
      pair.append(term, value);
      list.append(pair);
    }
    detail.replaceChildren(list);
  };

  const go = (bar) => {
    if (!bar) return;
    for (const other of bars) other.setAttribute("tabindex", other === bar ? "0" : "-1");
    bar.focus({ preventScroll: true });
    bar.querySelector(".body").scrollIntoView({ block: "center", inline: "center" });
    show(bar);
  };

  for (const bar of bars) {
    bar.setAttribute("tabindex", "-1");
    bar.addEventListener("pointerenter", () => show(bar));
    bar.addEventListener("focus", () => show(bar));
    bar.addEventListener("click", () => go(bar));
  }
  const impossible = jump && document.getElementById(jump.hash.slice(1));
  (impossible || bars[0])?.setAttribute("tabindex", "0");
  if (impossible) {
    jump.addEventListener("click", (event) => {
      event.preventDefault();
      go(impossible);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = bars.indexOf(document.activeElement);
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 };
    if (event.key === "j" && impossible) go(impossible);
    else if (at >= 0 && event.key in moves) go(bars[moves[event.key]]);
    else return;
    event.preventDefault();
  });
})();
