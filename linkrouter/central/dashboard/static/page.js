// What every page does: it tells the server the time zone, writes numbers and times as the reader does, and has keys.
import { country, moment, number } from "/dashboard/static/words.js";
import "/dashboard/static/keys.js";
import "/dashboard/static/refresh.js";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (!document.cookie.includes(`timezone=${zone}`) && zone) {
  document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=strict`;
  const shown = document.getElementById("chart")?.dataset.zone;
  if (shown && shown !== zone && document.cookie.includes(`timezone=${zone}`) && !location.search.includes("timezone="))
    location.reload();
}

function write() {
  const series = document.getElementById("series");
  for (const one of document.querySelectorAll("data.number")) one.textContent = number(one.value);
  for (const one of document.querySelectorAll("time"))
    one.textContent = series?.contains(one)
      ? moment(one.dateTime, document.getElementById("chart").dataset.zone, series.dataset.interval)
      : moment(one.dateTime);
  for (const one of document.querySelectorAll("[data-country]")) one.textContent = country(one.dataset.country);
}

write();
document.addEventListener("figures", write);
