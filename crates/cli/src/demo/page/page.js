// What moves on the page: news as they come, tokens that run down, buttons that need no new page.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const scroll = byId("sequence");
  const list = byId("messages");
  const MOST = 240;
  let revision = Number(document.body.dataset.revision);
  // The server's clock counts, whatever this one says.
  let ahead = Number(document.body.dataset.now) - Date.now();

  const words = (ms) => {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  };

  const clock = (element) => {
    const at = new Date(Number(element.dataset.at));
    const two = (number) => String(number).padStart(2, "0");
    const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
    const tenth = Math.floor(at.getMilliseconds() / 100);
    element.textContent = "exact" in element.dataset ? `${time}.${tenth}` : time;
    element.dateTime = at.toISOString();
  };
  const clocks = (root) => root.querySelectorAll("time[data-at]").forEach(clock);

  const tick = () => {
    const now = Date.now() + ahead;
    for (const life of document.querySelectorAll(".life")) {
      const left = Math.max(0, Number(life.dataset.until) - now);
      const whole = Number(life.dataset.whole);
      const text = words(left);
      const shown = life.querySelector(".left");
      if (shown.textContent !== text) shown.textContent = text;
      life.querySelector("progress").value = left;
      life.classList.toggle("late", left * 4 < whole);
      life.classList.toggle("fresh", whole - left < 2500);
    }
  };

  // What a part is made of, without what only runs on.
  const source = (element) => element.outerHTML.replace(/ value="\d+"|class="left">[^<]*/g, "");
  const sources = new Map();
  const remember = (parent) => sources.set(parent, [...parent.children].map(source));

  /** Puts new markup in place of what has changed, and nowhere else: a button that is being pressed stays. */
  const replace = (parent, html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    const next = [...template.content.children];
    const before = sources.get(parent);
    const focused = parent.contains(document.activeElement) ? document.activeElement.id : "";
    sources.set(parent, next.map(source));
    const now = [...parent.children];
    next.forEach((child, at) => {
      if (!now[at]) parent.append(child);
      else if (source(child) !== before[at]) now[at].replaceWith(child);
      else return;
      clocks(child);
    });
    now.slice(next.length).forEach((child) => child.remove());
    if (!focused || parent.contains(document.activeElement)) return;
    const again = byId(focused) || parent.querySelector("button");
    if (again) again.focus({ preventScroll: true });
  };

  // Where the messages are below the accounts, a line at the foot of the screen has the newest one, and leads to what it is part
  // of.
  const latest = byId("latest");
  let isInView = false;
  let beginning = null;
  const newestAct = () => [...list.querySelectorAll(":scope > .act")].pop();
  const point = () => {
    const last = list.lastElementChild;
    latest.hidden = isInView || !last;
    if (!last) return;
    const said = last.querySelector(".name code, h3, .said > p:last-child");
    const way = last.querySelector(".way");
    latest.textContent = `${way ? `${way.textContent.replace(/→\s*to/, "→")}: ` : ""}${said ? said.textContent : ""}`;
    latest.href = `#${(beginning?.isConnected ? beginning : newestAct())?.id || "sequence"}`;
  };
  new IntersectionObserver((entries) => {
    isInView = entries.some((entry) => entry.isIntersecting);
    point();
  }, { rootMargin: "0px 0px -15% 0px" }).observe(scroll);

  // What begins is shown from its beginning, and stays there while it goes on, until the reader scrolls.
  let shownAt = 0;
  const hasScrolled = () => Math.abs(scroll.scrollTop - shownAt) > 2;
  const isAtEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  const settle = () => {
    const lanes = scroll.firstElementChild.getBoundingClientRect().bottom;
    if (beginning) scroll.scrollTop += beginning.getBoundingClientRect().top - lanes;
    else scroll.scrollTop = scroll.scrollHeight;
    shownAt = scroll.scrollTop;
  };
  // A button was pressed here: what comes of it is what is looked for.
  let isAwaited = false;
  // What begins within such a time is part of what went before: a refresh in the middle of a call.
  const PAUSE = 3000;
  let lastAt = Date.now();

  const show = (news) => {
    ahead = news.now - Date.now();
    revision = news.revision;
    const follow = isAwaited || isAtEnd();
    if (hasScrolled() || news.afresh || !beginning?.isConnected) beginning = null;
    if (news.afresh) list.replaceChildren();
    if (news.messages) {
      const before = list.lastElementChild;
      list.insertAdjacentHTML("beforeend", news.messages);
      const isAnother = isAwaited || !beginning || Date.now() - lastAt > PAUSE;
      let next = null;
      let added = before ? before.nextElementSibling : list.firstElementChild;
      for (; added; added = added.nextElementSibling) {
        added.classList.add("new");
        if (added.matches(".act") && follow && !next && isAnother) next = added;
        clocks(added);
      }
      if (next || isAwaited) beginning = next;
      isAwaited = false;
      lastAt = Date.now();
      while (list.children.length > MOST) list.firstElementChild.remove();
    }
    point();
    byId("empty").hidden = list.children.length > 0;
    replace(byId("accounts"), news.accounts);
    replace(byId("faults"), news.faults);
    tick();
    if (beginning || follow) settle();
  };

  /** Tells what went wrong in the server's own words, until what is tried next goes well. */
  const complain = (text) => {
    byId("trouble").textContent = text;
    byId("trouble").hidden = !text;
  };

  const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

  // Only a page that is in view asks: a browser has six connections to this address, and each question holds one.
  let asking = new AbortController();
  document.addEventListener("visibilitychange", () => { if (document.hidden) asking.abort(); });
  const inView = async () => {
    while (document.hidden) {
      await new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true }); });
    }
  };

  const listen = async () => {
    let failures = 0;
    for (;;) {
      await inView();
      asking = new AbortController();
      let isAnswered = false;
      try {
        const answer = await fetch(`/demo/news?after=${revision}`, { cache: "no-store", signal: asking.signal });
        isAnswered = true;
        if (!answer.ok) {
          complain(await answer.text());
          throw new Error(String(answer.status));
        }
        show(await answer.json());
        if (failures > 0) complain("");
        failures = 0;
        byId("lost").hidden = true;
      } catch {
        if (asking.signal.aborted) continue;
        failures += 1;
        byId("lost").hidden = isAnswered || failures < 2;
        await wait(Math.min(500 * failures, 5000));
      }
    }
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!("live" in form.dataset)) return;
    event.preventDefault();
    const button = event.submitter;
    isAwaited = true;
    button?.setAttribute("aria-busy", "true");
    try {
      const body = new URLSearchParams(new FormData(form, button));
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      complain(answer.ok ? "" : await answer.text());
    } catch {
      // The listener tells that the demo has ended.
    } finally {
      button?.removeAttribute("aria-busy");
    }
  });

  remember(byId("accounts"));
  remember(byId("faults"));
  clocks(document);
  tick();
  setInterval(tick, 250);
  const server = byId("fault-provider");
  const ofServer = () => {
    for (const form of document.querySelectorAll(".of")) {
      form.hidden = form.dataset.of !== server.value;
      form.querySelector("h3").hidden = true;
    }
  };
  server.addEventListener("change", ofServer);
  ofServer();
  beginning = newestAct() || null;
  settle();
  listen();
})();
