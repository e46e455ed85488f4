// The campaign parameters of links, side by side, where a slip shows.

const NAMES = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"];

// Fill `table` with the links that have some; gives what to say of them, or "" for no table.
export function showUtm(table, links) {
  const web = links.filter(({ url }) => /^https?:/i.test(url)).map((link) => ({ ...link, utm: parametersOf(link.url) }));
  const tagged = web.filter(({ utm }) => utm.size);
  if (!tagged.length) return "";
  const used = NAMES.filter((name) => tagged.some(({ utm }) => utm.has(name)));
  const head = row("th", ["Link", ...used.map((name) => name.slice(4))], "col");
  table.replaceChildren(element("thead", head), element("tbody", ...tagged.map((link) => linkRow(link, used, tagged))));
  const without = web.length - tagged.length;
  return `${tagged.length} of ${web.length} web links have them.${without ? ` The other ${without === 1 ? "one is" : `${without} are`} not listed.` : ""}`;
}

function parametersOf(url) {
  try {
    return new Map([...new URL(url).searchParams].filter(([name]) => NAMES.includes(name)));
  } catch {
    return new Map();
  }
}

// A value that only this link has, where all others agree, is shown as odd.
function linkRow({ url, utm, places = [] }, used, all) {
  const cells = row("td", [places.find(({ text }) => text)?.text || url, ...used.map((name) => utm.get(name) ?? "–")]);
  cells.firstElementChild.title = url;
  used.forEach((name, number) => {
    const others = all.filter((link) => link.url !== url).map((link) => link.utm.get(name));
    const isOdd = others.length > 1 && new Set(others).size === 1 && others[0] !== utm.get(name);
    if (isOdd && name !== "utm_content" && name !== "utm_term") {
      const cell = cells.children[number + 1];
      cell.className = "odd";
      cell.append(element("span", " (unlike the others)"));
    }
  });
  return cells;
}

function row(name, texts, scope) {
  const cells = texts.map((text) => {
    const cell = element(name, text);
    if (scope) cell.scope = scope;
    return cell;
  });
  return element("tr", ...cells);
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}
