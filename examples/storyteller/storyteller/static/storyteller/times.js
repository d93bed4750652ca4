/** Times of the server in the reader's own zone and way of writing them. */

const long = new Intl.DateTimeFormat("en", { dateStyle: "long", timeStyle: "short" });

for (const time of document.querySelectorAll("time")) {
  time.textContent = long.format(new Date(time.dateTime));
}
