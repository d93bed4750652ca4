/** Times of the server in the reader's own zone and way of writing them. */

const moment = new Intl.DateTimeFormat("en", { dateStyle: "long", timeStyle: "short" });
const day = new Intl.DateTimeFormat("en", { dateStyle: "long" });

for (const time of document.querySelectorAll("time")) {
  time.textContent = ("day" in time.dataset ? day : moment).format(new Date(time.dateTime));
}
