// The page that `edgegrad watch` serves: asks whether the run has changed since the page was made,
// and loads the page anew. It stands by itself and touches nothing of the page but `#live`.
(function () {
  "use strict";
  const about = document.querySelector("meta[name=edgegrad-live]");
  if (!about) return;
  const every = 2000,
    rest = 3000,
    left = "edgegrad-left";
  let used = -Infinity,
    hash = location.hash,
    busy = false;

  function say(state, text) {
    const place = document.getElementById("live");
    if (!place || place.dataset.state === state) return;
    place.dataset.state = state;
    place.textContent = text;
    place.hidden = false;
  }

  // Nobody wants the page to be taken away while moving a slider, or while it plays (which shows in
  // the hash).
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"]) {
    addEventListener(
      kind,
      () => {
        used = performance.now();
      },
      { passive: true, capture: true },
    );
  }
  function inUse() {
    if (location.hash !== hash) {
      hash = location.hash;
      used = performance.now();
    }
    const field = document.activeElement,
      text = getSelection();
    const writing =
      field && /^(text|search|number)$/.test(field.type) && field.value !== field.defaultValue;
    return writing || (text && !text.isCollapsed) || performance.now() - used < rest;
  }
  // A large page must not take longer to load than it then stands.
  const isNew = () => performance.now() - ready < Math.min(3 * ready, 20000);
  const get = (path, method) =>
    fetch(path, { method, cache: "no-store", signal: AbortSignal.timeout(30000) });

  async function ask() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await get("/version", "GET");
      if (!answer.ok) throw new Error(answer.statusText);
      const version = await answer.text();
      if (version === about.dataset.version || isNew()) say("live", "live");
      else if (inUse()) say("behind", "live, newer once you pause");
      else {
        // The server makes the page for this, and keeps it: what is there to be loaded can be
        // loaded.
        const page = await get("/", "HEAD");
        if (!page.ok) say("unreadable", "not live: the run folder cannot be read");
        else if (!inUse()) again();
      }
    } catch {
      say("gone", "not live: edgegrad watch has stopped answering");
    }
    busy = false;
  }

  // What is chosen is in the hash. The place and the focus are not, and the page is too short for
  // the browser to restore them before everything is drawn.
  function again() {
    // At the end of what was there a reader wants to see the end.
    const time = document.getElementById("time");
    if (time && time.value === time.max) {
      const chosen = new URLSearchParams(location.hash.slice(1));
      chosen.delete("step");
      history.replaceState(null, "", "#" + chosen);
    }
    const focus = document.activeElement && document.activeElement.id;
    try {
      sessionStorage.setItem(left, JSON.stringify({ x: scrollX, y: scrollY, focus }));
      history.scrollRestoration = "manual";
    } catch {
      /* Without storage the page starts at its top. */
    }
    location.reload();
  }
  function restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(left));
      sessionStorage.removeItem(left);
      history.scrollRestoration = "auto";
      if (!kept) return;
      const node = kept.focus && document.getElementById(kept.focus);
      if (node) node.focus({ preventScroll: true });
      scrollTo({ left: kept.x, top: kept.y, behavior: "instant" });
    } catch {
      /* The same. */
    }
  }

  let ready = Infinity;
  function start() {
    ready = performance.now();
    hash = location.hash;
    restore();
    ask();
    setInterval(ask, every);
    document.addEventListener("visibilitychange", ask);
  }
  // Drawn, or long since failed to be.
  const root = document.documentElement;
  let started = false;
  const once = () => {
    if (!started) {
      started = true;
      start();
    }
  };
  new MutationObserver(() => {
    if (root.dataset.ready) once();
  }).observe(root, { attributeFilter: ["data-ready"] });
  addEventListener("load", () => setTimeout(once, 10000));
})();
