// Keeps a page up to date: each event has the new text of the parts that change, by their ids.
"use strict";
(() => {
  const address = document.body.dataset.live;
  if (!address || !window.EventSource) return;
  const shown = new Map();
  const state = document.getElementById("state");
  const stateText = document.getElementById("state-text");
  let source;
  let retry;

  function mark(name, text) {
    state.className = "state " + name;
    stateText.textContent = text;
  }

  // parse returns the rows or other elements in a text. Scripts in it would not run; there are none,
  // since the server escapes what isn't its own.
  function parse(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }

  // replaceRows changes the cells that differ and leaves the rest alone, so that the focus and a
  // selection stay where they are.
  function replaceRows(body, fresh) {
    const old = new Map();
    for (const row of body.rows) old.set(row.dataset.key, row);
    let at = body.firstElementChild;
    for (const row of [...fresh.children]) {
      let kept = old.get(row.dataset.key);
      if (kept) {
        old.delete(row.dataset.key);
        if (kept.className !== row.className) kept.className = row.className;
        [...row.cells].forEach((cell, i) => {
          if (kept.cells[i].innerHTML !== cell.innerHTML) kept.cells[i].replaceChildren(...cell.childNodes);
        });
      } else {
        kept = row;
        kept.classList.add("new");
      }
      if (kept === at) at = at.nextElementSibling;
      else body.insertBefore(kept, at);
    }
    for (const row of old.values()) row.remove();
  }

  // replace changes the content of an element. A link that had the focus has it again.
  function replace(element, fresh) {
    const focus = element.contains(document.activeElement) ? document.activeElement : null;
    element.replaceChildren(fresh);
    if (!focus) return;
    const same = focus.id ? document.getElementById(focus.id)
      : [...element.querySelectorAll("a, [tabindex]")].find((e) => e.outerHTML === focus.outerHTML);
    if (same) same.focus({ preventScroll: true });
  }

  function update(event) {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const element = document.getElementById(id);
      if (!element || shown.get(id) === html) continue;
      shown.set(id, html);
      if (element.tagName === "TBODY") replaceRows(element, parse(html));
      else if (element.innerHTML !== html) replace(element, parse(html));
    }
    mark("live", "live");
  }

  function open() {
    close();
    source = new EventSource(address);
    source.onmessage = update;
    source.onerror = () => {
      mark("lost", "not live: the server doesn't answer");
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 5000);
    };
  }

  function close() {
    clearTimeout(retry);
    if (source) source.close();
  }

  // A page that nobody sees costs nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      mark("paused", "paused");
    } else {
      open();
    }
  });
  if (!document.hidden) open();
})();
