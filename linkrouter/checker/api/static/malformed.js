// Obviously bad URLs, found before anything is requested. The rules are rules.json, which the server reads too; this
// module and linkrouter/checker/rules.py only take a URL apart, in the same few steps, and hold the rules against it.

export async function loadRules(address) {
  const response = await fetch(address);
  return compileRules(await response.json());
}

export function compileRules(table) {
  return table.rules.map((rule) => ({ ...rule, pattern: new RegExp(rule.matches, "u") }));
}

// Give the first rule that the URL breaks, or null. `local` allows hosts that only a local network knows.
export function findMalformed(rules, url, { local = false } = {}) {
  const pieces = takeApart(url);
  const broken = (rule) => pieces[rule.on] !== undefined && !(local && rule.local) && rule.pattern.test(pieces[rule.on]);
  return rules.find(broken) ?? null;
}

// As browsers do, drop blanks around a URL and line breaks inside it (WHATWG URL, section 4.4).
function takeApart(text) {
  const url = text.replace(/^[\u0000- ]+|[\u0000- ]+$/g, "").replace(/[\t\n\r]/g, "");
  const [, scheme = "", rest = ""] = /^([A-Za-z]+):([^]*)$/.exec(url) ?? [];
  switch (scheme.toLowerCase()) {
    case "mailto":
      return { url, mail: rest.split("?")[0] };
    case "tel":
      return { url, tel: rest };
    case "http":
    case "https": {
      const authority = rest.replace(/^\/\//, "").split(/[/?#]/)[0];
      const [, host, port] = /^([^]*?)(?::([^:\]]*))?$/.exec(authority.split("@").pop());
      return { url, authority, host: lower(host), port };
    }
    default:
      return { url };
  }
}

// Only A to Z: what other letters become depends on the language.
function lower(host) {
  return host.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
