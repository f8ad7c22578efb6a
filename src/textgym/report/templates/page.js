"use strict";
// Shows the cards of the page's data that pass the filters. Everything from the data becomes text, never HTML.
(() => {
  const AT_ONCE = 20;
  const SPEAKERS = { policy: "policy", env: "environment" };
  const FILTERS = [["env", "Environment"], ["agent", "Agent"], ["policy", "Policy"], ["seed", "Seed"], ["kind", "From"], ["outcome", "Outcome"]];
  const { outcomes, cards } = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters"), search = document.getElementById("search");
  const list = document.getElementById("cards"), more = document.getElementById("more");
  const selects = new Map();
  let found = cards, shown = 0, onlyThis = null;

  // Of training, what is asked makes the problem; held-out ones are numbered, and may hide more than they ask.
  const key = (card) => [card.env, card.kind, card.kind === "training" ? "" : card.when, card.prompt].join("\u0000");

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function makeSelect([name, label]) {
    const counts = new Map();
    for (const card of cards) {
      if (card[name] !== "") counts.set(card[name], (counts.get(card[name]) || 0) + 1);
    }
    if (counts.size < 2) return;
    const select = element("select");
    select.id = "filter-" + name;
    select.append(new Option("all", ""));
    const values = [...counts.keys()];
    const order = Object.keys(outcomes);
    values.sort(name === "outcome" ? (a, b) => order.indexOf(a) - order.indexOf(b)
      : (a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
    for (const value of values) {
      select.append(new Option(`${name === "outcome" ? outcomes[value] : value} (${counts.get(value)})`, value));
    }
    const wrapper = element("label", "", label);
    wrapper.append(select);
    document.getElementById("selects").append(wrapper);
    selects.set(name, select);
  }

  function filter() {
    const wanted = search.value.toLowerCase();
    found = cards.filter((card) =>
      [...selects].every(([name, select]) => !select.value || String(card[name]) === select.value)
      && (onlyThis === null || key(card) === key(onlyThis))
      && (!wanted || card.prompt.toLowerCase().includes(wanted)
        || card.answers.some((answer) => answer.turns.some((turn) => turn.text.toLowerCase().includes(wanted)))));
    list.replaceChildren();
    shown = 0;
    showMore();
    document.getElementById("count").textContent =
      `${found.length.toLocaleString("en")} of ${cards.length.toLocaleString("en")} entries`
      + (onlyThis === null ? "" : ", this one only");
  }

  function showMore() {
    list.append(...found.slice(shown, shown + AT_ONCE).map(drawCard));
    shown = Math.min(found.length, shown + AT_ONCE);
    more.hidden = shown >= found.length;
  }

  function drawText(className, text, cut) {
    const paragraph = element("p", "text " + className, text);
    paragraph.dir = "auto";
    if (!text.trim()) paragraph.append(element("span", "empty", "(empty)"));
    if (cut) paragraph.append(element("span", "cut", ` … ${cut.toLocaleString("en")} more characters`));
    return paragraph;
  }

  // One response stands alone; in a game each turn says whose it is.
  function drawTurns(turns) {
    if (turns.length === 1) return [drawText("", turns[0].text, turns[0].cut)];
    const dialogue = element("dl", "turns");
    for (const turn of turns) {
      const said = element("dd", turn.by);
      said.append(drawText("", turn.text, turn.cut));
      dialogue.append(element("dt", turn.by, SPEAKERS[turn.by]), said);
    }
    return [dialogue];
  }

  function drawCard(card) {
    const article = element("article", "card"), about = element("p", "about");
    about.append(element("span", "outcome " + card.outcome, outcomes[card.outcome]));
    for (const part of [card.env, card.agent, card.policy, card.seed && `seed ${card.seed}`, card.kind === "training" ? "training" : "", card.when]) {
      if (part) about.append(element("span", "", part));
    }
    if (repeated.get(key(card)) > 1) {
      const same = element("button", "", `all ${repeated.get(key(card))} on this problem`);
      same.type = "button";
      same.addEventListener("click", () => {
        search.value = "";
        for (const select of selects.values()) select.value = "";
        onlyThis = card;
        filter();
        form.scrollIntoView();
      });
      about.append(same);
    }
    const answers = element("div", "answers");
    for (const answer of card.answers) {
      const box = element("div", "answer " + answer.mark), title = element("h3");
      if (answer.label) title.append(element("span", "", answer.label));
      if (answer.mark) title.append(element("span", "mark", answer.mark === "right" ? "✓" : "✗"));
      for (const fact of answer.facts) title.append(element("span", "", fact));
      box.append(title, ...drawTurns(answer.turns));
      answers.append(box);
    }
    article.append(about, drawText("prompt", card.prompt, card.cut), answers);
    return article;
  }

  const repeated = new Map();
  for (const card of cards) {
    repeated.set(key(card), (repeated.get(key(card)) || 0) + 1);
  }
  FILTERS.forEach(makeSelect);
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  const afresh = () => { onlyThis = null; filter(); };
  for (const select of selects.values()) select.addEventListener("change", afresh);
  search.addEventListener("input", afresh);
  form.addEventListener("reset", () => setTimeout(afresh));
  more.addEventListener("click", showMore);
  filter();
})();
