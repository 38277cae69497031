const script = document.getElementById("script");
const rows = document.getElementById("rows");
const blank = document.getElementById("blank");
const today = new Date().toDateString();

function clock(moment) {
  const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return moment.toDateString() === today ? time : moment.toLocaleDateString([], { day: "numeric", month: "short" });
}

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (isNaN(moment)) continue;
    time.title = moment.toLocaleString();
    time.textContent = "full" in time.dataset
      ? moment.toLocaleString([], { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })
      : clock(moment);
  }
}

function fill(message) {
  const row = blank.content.firstElementChild.cloneNode(true);
  const set = (selector, text) => { row.querySelector(selector).textContent = text; };
  row.dataset.id = message.id;
  row.classList.add("new");
  row.querySelector("a").href = `/messages/${message.id}${location.search}`;
  row.querySelector(".mark").className = `mark ${message.channel}`;
  row.querySelector(".mark").append(document.getElementById(`icon-${message.channel}`).content.cloneNode(true));
  set(".who", message.to_address);
  set(".line", message.channel === "email" ? message.subject : message.text.trim().split("\n")[0]);
  const held = { scheduled: "Scheduled · ", cancelled: "Cancelled · " }[message.state] ?? "";
  set(".parts", held + (message.channel === "email" ? "Email" : `${message.sms_parts} part${message.sms_parts === 1 ? "" : "s"}`));
  row.querySelector("time").dateTime = message.received_at;
  localTimes(row);
  return row;
}

function add(name, more) {
  const total = document.querySelector(`[data-total=${name}]`);
  const count = Number(total.firstElementChild.textContent.replaceAll(",", "")) + more;
  total.firstElementChild.textContent = count.toLocaleString("en");
  if (name !== "sms") total.lastChild.data = ` ${name}${count === 1 ? "" : "s"}`;
}

const isFiltered = script.dataset.person || script.dataset.channel;
const LIMIT = 40;
let newest = Number(script.dataset.newest);
let pause = 2000;

async function follow() {
  const query = new URLSearchParams({ since_id: newest, limit: LIMIT, person: script.dataset.person, channel: script.dataset.channel });
  try {
    const answer = await fetch(`/messages.json?${query}`);
    const arrived = await answer.json();
    pause = 2000;
    for (const message of arrived) {
      rows.prepend(fill(message));
      newest = message.id;
      if (isFiltered) continue;
      add(message.channel, 1);
      if (message.channel === "sms") add("part", message.sms_parts);
    }
    if (arrived.length) document.getElementById("empty")?.remove();
    while (rows.children.length > 200) rows.lastElementChild.remove();
    if (arrived.length === LIMIT) showArrivals();
  } catch {
    pause = Math.min(pause * 2, 30000);
  }
  if (!document.querySelector(".arrivals:not([hidden])")) setTimeout(follow, document.hidden ? 10000 : pause);
}

function showArrivals() {
  const link = document.querySelector(".arrivals");
  link.textContent = "Many new messages. Show the newest";
  link.hidden = false;
}

localTimes(document);
if (script.dataset.live) setTimeout(follow, pause);
document.querySelector(".row.open")?.scrollIntoView({ block: "nearest" });
