// What this browser remembers of links: the server's idea of a cache, but shorter. It only makes the first look at a
// mail richer; whether a mail may be sent is always asked of the server.

const NAME = "linkrouter.check.verdicts";
const MAX_LINKS = 1000;
const MINUTE_MS = 60_000;
const LIFETIMES_MS = { fine: 10 * MINUTE_MS, unverifiable: 10 * MINUTE_MS, broken: MINUTE_MS, flagged: MINUTE_MS };

export class Memory {
  // `version` is that of the rules: what was learnt under others is forgotten.
  constructor(version, storage = localStorage, clock = Date.now) {
    this.version = version;
    this.storage = storage;
    this.clock = clock;
    this.verdicts = this.#read();
  }

  recall(url) {
    const found = this.verdicts.get(key(url));
    return found && found.until > this.clock() ? found : null;
  }

  // Remember a link of a check that is over; call `save` after the last.
  remember({ url, verdict, reason, detail, advice, complete }) {
    const lifetime = LIFETIMES_MS[verdict];
    if (!lifetime || !complete) return;
    const at = this.clock();
    this.verdicts.delete(key(url)); // so that the oldest stand first
    this.verdicts.set(key(url), { verdict, reason, detail, advice, at, until: at + lifetime });
  }

  save() {
    const now = this.clock();
    const fresh = [...this.verdicts].filter(([, found]) => found.until > now).slice(-MAX_LINKS);
    this.verdicts = new Map(fresh);
    try {
      this.storage.setItem(NAME, JSON.stringify({ version: this.version, verdicts: fresh }));
    } catch {
      // Full, or switched off: then nothing is remembered.
    }
  }

  forget() {
    this.verdicts = new Map();
    try {
      this.storage.removeItem(NAME);
    } catch {
      // Likewise.
    }
  }

  #read() {
    try {
      const { version, verdicts } = JSON.parse(this.storage.getItem(NAME));
      return new Map(version === this.version ? verdicts : []);
    } catch {
      return new Map();
    }
  }
}

function key(url) {
  return url.split("#", 1)[0];
}
