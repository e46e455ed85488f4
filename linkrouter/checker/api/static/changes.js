// What a check found that an earlier one of the same mail did not, and the other way round.

import { CALM } from "./words.js";

const isFinding = ({ verdict }) => !CALM.has(verdict);

// Give the change of each link by URL ("fixed", "new", "worse", "still"), and the links that are gone.
export function compare(before, now) {
  const old = new Map(before.map((link) => [link.url, link]));
  const urls = new Set(now.map(({ url }) => url));
  const changes = new Map();
  for (const link of now) {
    const was = old.get(link.url);
    if (!was) changes.set(link.url, "new");
    else if (isFinding(was) && !isFinding(link)) changes.set(link.url, "fixed");
    else if (!isFinding(was) && isFinding(link)) changes.set(link.url, "worse");
    else if (isFinding(was)) changes.set(link.url, "still");
  }
  return { changes, gone: before.filter(({ url }) => !urls.has(url)) };
}

// Whether two checks are of one mail: most of what was in the first is still there.
export function isSameMail(before, now) {
  const urls = new Set(now.map(({ url }) => url));
  return before.filter(({ url }) => urls.has(url)).length * 2 >= before.length && before.length > 0;
}

export function sayChanges({ changes, gone }) {
  const count = (word) => [...changes.values()].filter((each) => each === word).length;
  const wrong = gone.filter(isFinding).length;
  const parts = [
    [count("fixed"), "fixed"],
    [wrong, "corrected or taken out"],
    [count("new"), "new"],
    [count("worse"), "worse"],
    [count("still"), "as bad as before"],
    [gone.length - wrong, "gone"],
  ];
  const said = parts.filter(([number]) => number).map(([number, words]) => `${number} ${words}`);
  return `Since your last check: ${said.length ? said.join(", ") : "nothing has changed"}.`;
}
