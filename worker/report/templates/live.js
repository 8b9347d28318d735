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
  const link = document.getElementById("link");
  if (live) follow();

  function follow() {
    const events = new EventSource(live.dataset.events);
    events.addEventListener("open", () => { link.textContent = ""; });
    events.addEventListener("error", () => {
      link.textContent = "The connection is lost; trying again.";
      // A browser tries again by itself, but gives up where it gets another answer, such as that the ledger is gone.
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
    });
    // What comes was escaped by our own server, and no script may run but this one.
    events.addEventListener("message", (event) => { live.innerHTML = event.data; });
    addEventListener("pagehide", () => events.close(), { once: true });
  }

  const control = document.getElementById("control");
  const said = document.getElementById("said");
  if (!control || !token) return;
  control.hidden = false;
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
