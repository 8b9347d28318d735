"use strict";
(function () {
  // The token stands behind the # of the address that was printed: it is sent to nobody, and forgotten with the tab.
  const KEY = "closeout-token";
  if (location.hash.startsWith("#token=")) {
    sessionStorage.setItem(KEY, location.hash.slice(7));
    history.replaceState(null, "", location.pathname + location.search);
  }
  const token = sessionStorage.getItem(KEY);

  const live = document.getElementById("live");
  const control = document.getElementById("control");
  const link = document.getElementById("link");
  // A page that nobody sees asks for nothing: browsers bear few connections to one server.
  let events = null;
  if (live) {
    follow();
    document.addEventListener("visibilitychange", follow);
    addEventListener("pagehide", rest);
    addEventListener("pageshow", follow);
  }

  function rest() {
    if (events) events.close();
    events = null;
  }

  function follow() {
    if (document.hidden) return rest();
    if (events && events.readyState !== EventSource.CLOSED) return;
    events = new EventSource(live.dataset.events);
    events.addEventListener("open", () => { link.textContent = ""; });
    events.addEventListener("message", (event) => show(event.data));
    events.addEventListener("error", (event) => {
      link.textContent = "The connection is lost; trying again.";
      // A browser tries again by itself, but gives up where it gets another answer, such as that the ledger is gone.
      if (event.target.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
    });
  }

  // What comes was escaped by our own server, and no script may run but this one. Whoever copies something, has gone
  // somewhere by keyboard, or has moved a wide table is not disturbed.
  function show(markup) {
    const selection = getSelection();
    if (selection && !selection.isCollapsed && live.contains(selection.anchorNode)) return;
    const name = (element) => element.getAttribute("href") || element.getAttribute("aria-label");
    const focused = live.contains(document.activeElement) ? name(document.activeElement) : null;
    const moved = new Map(Array.from(live.querySelectorAll(".scroll"), (each) => [name(each), each.scrollLeft]));
    live.innerHTML = markup;
    if (control) control.hidden = !token || !live.querySelector("[data-running]");
    for (const each of live.querySelectorAll(".scroll")) each.scrollLeft = moved.get(name(each)) || 0;
    if (focused === null) return;
    const same = Array.from(live.querySelectorAll("a, [tabindex]")).find((each) => name(each) === focused);
    if (same) same.focus({ preventScroll: true });
  }

  const said = document.getElementById("said");
  if (!control || !token) return;
  const buttons = Array.from(control.querySelectorAll("button"));

  async function say(word) {
    const asked = word === "rate" ? { rate: document.getElementById("rate").value.trim() } : {};
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch("/runs/" + control.dataset.run + "/" + word, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Closeout-Token": token },
        body: JSON.stringify(asked),
      });
      const told = await answer.json();
      said.textContent = told.said || told.error;
    } catch {
      said.textContent = "The server did not answer.";
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  control.addEventListener("submit", (event) => { event.preventDefault(); say("rate"); });
  for (const button of buttons) {
    if (button.type === "button") button.addEventListener("click", () => say(button.dataset.word));
  }
})();
