// Numbers, times and countries as the browser's own language writes them. What cannot be read stays as it came.
const language = document.documentElement.lang;
const numbers = new Intl.NumberFormat(language);
const countries = new Intl.DisplayNames([language], { type: "region", fallback: "code" });

const ages = new Intl.RelativeTimeFormat(language);

export const number = (value) => numbers.format(value);

// How long ago a time was, to the minute, or the hour when it is long.
export function ago(time) {
  const minutes = Math.floor((Date.now() - time) / 60_000);
  return minutes < 120 ? ages.format(-minutes, "minute") : ages.format(-Math.floor(minutes / 60), "hour");
}

export function country(code) {
  try { return /^[A-Z]{2}$/.test(code) ? countries.of(code) : code; } catch { return code; }
}

export function moment(text, zone, interval) {
  const at = new Date(text);
  if (isNaN(at)) return text;
  const shape = {
    hour: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
    day: { day: "numeric", month: "short", year: "numeric" },
    week: { day: "numeric", month: "short", year: "numeric" },
    month: { month: "long", year: "numeric" },
  }[interval] ?? { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, { ...shape, timeZone: zone || undefined }).format(at);
}
