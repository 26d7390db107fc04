"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const find = (id) => document.getElementById(id);

  // Without this script everything is open.
  for (const button of all(".opens")) {
    const more = find(button.getAttribute("aria-controls"));
    const set = (open) => {
      button.setAttribute("aria-expanded", open);
      more.hidden = !open;
    };
    button.addEventListener("click", () => set(more.hidden));
    set(false);
  }

  const table = find("class-table");
  if (table) {
    const rows = all(":scope > tbody", table);
    const heads = all("th[data-sort]", table);
    const number = (text) => (text === "nan" ? NaN : parseFloat(text));
    const compare = (key, up) => (a, b) => {
      const [x, y] = [a.dataset[key], b.dataset[key]];
      if (["name", "group"].includes(key)) return up * x.localeCompare(y);
      const [m, n] = [number(x), number(y)];
      if (isNaN(m) || isNaN(n)) return isNaN(m) - isNaN(n); // what has no number comes last
      return up * (m - n);
    };
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      const text = ["name", "group"].includes(head.dataset.sort);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const up = now === "none" ? text : now === "descending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        rows.sort(compare(head.dataset.sort, up ? 1 : -1));
        table.append(...rows);
      });
    }
    const [name, group] = [find("filter-name"), find("filter-group")];
    const filter = () => {
      const wanted = name.value.trim().toLowerCase();
      for (const row of rows) {
        const named = row.dataset.name.toLowerCase().includes(wanted);
        row.hidden = !(named && (!group || !group.value || row.dataset.group === group.value));
      }
      const shown = rows.filter((row) => !row.hidden).length;
      find("filter-count").textContent = `${shown} of ${rows.length} classes`;
    };
    name.addEventListener("input", filter);
    group?.addEventListener("change", filter);
    filter();
  }

  const [cause, action] = [find("card-cause"), find("card-class")];
  if (cause) {
    const cards = all(".card");
    const more = find("card-more");
    const page = 12;
    let limit = page;
    const show = () => {
      let matching = 0;
      for (const card of cards) {
        const of = JSON.parse(card.dataset.classes);
        const matches =
          (!cause.value || card.dataset.cause === cause.value) &&
          (!action.value || of.includes(action.value));
        card.hidden = !matches || matching >= limit;
        matching += matches;
      }
      more.hidden = matching <= limit;
      find("card-count").textContent = `${Math.min(matching, limit)} of ${matching} pictures`;
    };
    const filter = () => {
      limit = page;
      show();
    };
    more.addEventListener("click", () => {
      const next = limit;
      limit += page;
      show();
      cards.filter((card) => !card.hidden)[next]?.focus(); // reading goes on with the new ones
    });
    cause.addEventListener("change", filter);
    action.addEventListener("change", filter);
    for (const button of all(".show-errors")) {
      button.addEventListener("click", () => {
        cause.value = "";
        action.value = button.dataset.class;
        filter();
        find("errors").scrollIntoView();
        action.focus({ preventScroll: true });
      });
    }
    filter();
  }
})();
