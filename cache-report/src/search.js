// Finds records by key, layer or step: what does not match is hidden, what matches is opened. Without this script the
// page is the same but for the search.
"use strict";
(() => {
  const box = document.querySelector(".search");
  const input = document.getElementById("find");
  const told = document.getElementById("found");
  if (!box || !input || !told) return;
  box.hidden = false;
  let records;
  // Not before somebody searches: a page of many records opens sooner.
  const read = () => [...document.querySelectorAll(".record")].map((element) => ({
    element,
    item: element.closest("li"),
    text: (element.dataset.key + " " + element.textContent).toLowerCase(),
  }));
  const caches = [...document.querySelectorAll("details.cache")].map((element) => [element, element.open]);
  let timer;
  const search = () => {
    const wanted = input.value.trim().toLowerCase();
    records ??= read();
    const section = document.getElementById("records");
    section.classList.toggle("searching", wanted !== "");
    for (const { element, item } of records) {
      element.classList.remove("match");
      item.classList.remove("keep");
    }
    if (wanted === "") {
      told.textContent = "";
      for (const [element, open] of caches) element.open = open;
      return;
    }
    let found = 0;
    for (const { element, item, text } of records) {
      if (!text.includes(wanted)) continue;
      found += 1;
      element.classList.add("match");
      for (let at = item; at && !at.classList.contains("keep"); at = at.parentElement.closest("li")) {
        at.classList.add("keep");
      }
    }
    for (const [element] of caches) element.open = element.querySelector(".match") !== null;
    told.textContent = found === 1 ? "1 record" : found + " records";
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 120);
  });
  input.addEventListener("search", search);
})();
