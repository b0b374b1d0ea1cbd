"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);

  // What prints is opened, and closed again.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });

  // On a narrow screen what lies beside the answers is folded; what an address points into is opened.
  const narrow = matchMedia("(max-width: 599px)");
  function fold() {
    for (const part of document.querySelectorAll(".fold")) part.open = !narrow.matches;
    show();
  }
  function show() {
    const place = location.hash.startsWith("#classes:") ? null : $(decoded(location.hash.slice(1)));
    const part = place?.closest("details");
    if (!part || part.open) return;
    part.open = true;
    place.scrollIntoView();
  }
  function decoded(word) {
    try { return decodeURIComponent(word); } catch { return ""; }
  }
  narrow.addEventListener("change", fold);
  addEventListener("hashchange", show);
  fold();

  // What is wider than the screen can be scrolled with the keyboard.
  function reach() {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", box.querySelector("caption").textContent);
      } else for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
  reach();

  if (data.classes) classTable(data.classes);
  if (data.matrix) matrix(data.matrix);

  function classTable({ rows, groups, step, unfolded }) {
    const [NAME, GROUP, TRAIN, TEST, RIGHT, LOW, HIGH, SAID, TAKEN, CONFIDENCE, REMARK] = Array(11).keys();
    const table = $("class-table"), body = table.tBodies[0], heads = [...table.querySelectorAll("thead th")];
    const find = $("find"), group = $("group"), hide = $("hide"), more = $("more");
    const elements = new Map([...body.rows].map((row, place) => [place, row]));
    const ENOUGH = 10, START = "#classes:";
    const few = (place) => rows[place][TEST] < ENOUGH;
    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    const columns = {
      class: (p) => rows[p][NAME], group: (p) => rows[p][GROUP], train: (p) => rows[p][TRAIN],
      test: (p) => rows[p][TEST], right: (p) => rows[p][RIGHT], recall: (p) => p,
      precision: (p) => precision(rows[p]), taken: (p) => taken(p), confidence: (p) => rows[p][CONFIDENCE],
    };
    const precision = (row) => (row[SAID] ? row[RIGHT] / row[SAID] : null);
    const rests = { recall: TEST, precision: SAID, confidence: TEST }; // the images behind a value
    const taken = (p) => (rows[p][TAKEN] < 0 ? null : rows[rows[p][TAKEN]][NAME]);
    let state = { sort: "recall", down: false }, order = [], shown = step;

    function ordered() {
      const words = find.value.trim().toLocaleLowerCase(), value = columns[state.sort];
      const kept = [];
      for (let p = 0; p < rows.length; p++) {
        if (words && !rows[p][NAME].toLocaleLowerCase().includes(words)) continue;
        if (group.value && groups[rows[p][GROUP]] !== group.value) continue;
        if (hide.checked && few(p)) continue;
        kept.push(p);
      }
      const last = (p) => {
        const images = Object.hasOwn(rests, state.sort) ? rows[p][rests[state.sort]] : ENOUGH;
        return value(p) === null || images === 0 ? 2 : images < ENOUGH ? 1 : 0;
      };
      const sign = state.down ? -1 : 1;
      return kept.map((p) => [p, value(p), last(p)]).sort(([p, a, e], [q, b, f]) =>
        e - f || (e === 2 ? 0 : sign * (typeof a === "string" ? compare(a, b) : a - b)) || p - q).map(([p]) => p);
    }

    function draw() {
      order = ordered();
      body.replaceChildren(...order.slice(0, shown).map(element));
      for (const head of heads) {
        if (head.dataset.sort === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
      const column = heads.find((head) => head.dataset.sort === state.sort).textContent.trim();
      const drawn = Math.min(shown, order.length), number = (n) => n.toLocaleString("en");
      const part = drawn < order.length ? `first ${number(drawn)} of ${number(order.length)}` : number(order.length);
      say(`${part} ${order.length === 1 ? "class" : "classes"}, sorted by ${column}, ${state.down ? "largest" : "smallest"} first`);
      more.hidden = drawn === order.length;
      const folded = $("rest"), rest = order.length - unfolded;
      if (folded) {
        folded.hidden = rest <= 0;
        folded.firstElementChild.textContent = `${number(rest)} more ${rest === 1 ? "class" : "classes"}`;
      }
    }

    const say = (text) => { $("sorted").textContent = text; };

    function cent(share) { // never all or none where it is not so
      const near = Math.round(100 * share);
      if (share === 0 || share === 1 || (near > 0 && near < 100)) return `${near} %`;
      return `${(Math.round(10 * Math.min(Math.max(100 * share, 0.1), 99.9)) / 10).toFixed(1)} %`;
    }

    function name(cell, text) { // broken after what joins words, and within them only where they are long
      const parts = text.split(/(?<=[_/-])/);
      cell.replaceChildren(...parts.flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part])));
      if (text.split(/[\s_/-]/).some((word) => [...word].length > 24)) cell.className = "long-words";
    }

    function element(place) {
      if (!elements.has(place)) elements.set(place, build(place));
      return elements.get(place);
    }

    function build(place) {
      const row = rows[place], copy = $("class-row").content.firstElementChild.cloneNode(true), cells = copy.cells;
      const number = (n) => n.toLocaleString("en");
      name(cells[0], row[NAME]);
      cells[1].firstElementChild.textContent = groups[row[GROUP]];
      cells[1].firstElementChild.className = `g ${groups[row[GROUP]]}`;
      cells[2].textContent = number(row[TRAIN]);
      cells[3].textContent = number(row[TEST]);
      cells[4].textContent = row[TEST] ? `${number(row[RIGHT])} of ${number(row[TEST])}` : "";
      const [bar, value, range, rough, remark] = cells[5].children;
      remark.textContent = row[REMARK] ?? "";
      if (!row[REMARK]) remark.remove();
      if (few(place)) {
        for (const part of [bar, range, rough]) part.remove();
        value.replaceWith(row[TEST] ? "too few to say" : "not tested");
      } else {
        bar.setAttribute("style", `--v:${row[RIGHT]}/${row[TEST]};--l:${row[LOW]};--h:${row[HIGH]}`);
        value.textContent = cent(row[RIGHT] / row[TEST]);
        range.textContent = `${Math.round(100 * row[LOW])}-${Math.round(100 * row[HIGH])}`;
        if (row[TEST] >= 30) rough.remove();
      }
      cells[6].textContent = !row[SAID] ? (row[TEST] ? "never said" : "")
        : row[SAID] < ENOUGH ? `${row[RIGHT]} of ${row[SAID]}` : cent(precision(row));
      name(cells[7], taken(place) ?? "");
      cells[8].textContent = row[CONFIDENCE] === null || few(place) ? "" : cent(row[CONFIDENCE]);
      return copy;
    }

    function keep() {
      const words = new URLSearchParams({ sort: state.sort, down: +state.down, find: find.value, group: group.value, hide: +hide.checked });
      history.replaceState(null, "", START + words);
    }

    function restore() {
      if (!location.hash.startsWith(START)) return;
      const words = new URLSearchParams(location.hash.slice(START.length));
      if (Object.hasOwn(columns, words.get("sort"))) state = { sort: words.get("sort"), down: words.get("down") === "1" };
      find.value = words.get("find") ?? "";
      group.value = groups.includes(words.get("group")) ? words.get("group") : "";
      hide.checked = words.get("hide") === "1";
      $("classes").scrollIntoView();
    }

    function changed() { shown = step; draw(); keep(); }

    const guarded = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
    const cell = (value) => {
      const text = typeof value === "string" ? guarded(value) : String(value ?? "");
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };

    async function copy() {
      const names = ["class", "group", "train_images", "test_images", "correct", "recall", "precision", "mistaken_for"];
      const lines = order.map((p) => {
        const row = rows[p];
        return [row[NAME], groups[row[GROUP]], row[TRAIN], row[TEST], row[RIGHT], row[TEST] ? row[RIGHT] / row[TEST] : "", precision(row), taken(p)];
      });
      const text = [names, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
      try {
        await navigator.clipboard.writeText(text);
        say(`copied ${lines.length} rows as CSV`);
      } catch {
        say("the browser did not allow copying; take per_class.csv from the run folder");
      }
    }

    for (const head of heads) {
      head.querySelector("button").addEventListener("click", () => {
        const again = state.sort === head.dataset.sort;
        state = { sort: head.dataset.sort, down: again ? !state.down : false };
        changed();
      });
    }
    for (const control of [find, group, hide]) control.addEventListener("input", changed);
    $("copy").addEventListener("click", copy);
    more.addEventListener("click", () => { shown += step; draw(); });
    addEventListener("hashchange", () => { restore(); draw(); });
    for (const hidden of document.querySelectorAll(".scripted")) hidden.hidden = false;
    restore();
    draw();
  }

  function matrix({ names, tested, cells }) {
    const box = $("matrix"), says = $("matrix-says"), mark = $("matrix-mark"), size = names.length;
    let place = -1;
    function tell(next) {
      place = Math.max(0, Math.min(cells.length - 1, next));
      const [row, column, count] = cells[place];
      says.textContent = `${names[row]} as ${names[column]}: ${count} of ${tested[row]}`;
      mark.setAttribute("x", column);
      mark.setAttribute("y", row);
      mark.removeAttribute("visibility");
    }
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    box.addEventListener("keydown", (event) => {
      if (!Object.hasOwn(steps, event.key)) return;
      event.preventDefault();
      tell(place + steps[event.key]);
    });
    box.addEventListener("pointermove", (event) => {
      const frame = $("matrix-cells").getBoundingClientRect();
      const column = Math.floor((event.clientX - frame.left) / frame.width * size);
      const row = Math.floor((event.clientY - frame.top) / frame.height * size);
      const found = cells.findIndex(([r, c]) => r === row && c === column);
      if (found >= 0) tell(found);
    });
  }
})();
