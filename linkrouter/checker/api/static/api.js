// The API of the centre, as the page uses it.

const RETRIES = 5;

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem?.reason ? `${problem.detail}: ${problem.reason}` : (problem?.detail ?? `the server answered ${status}`));
    this.status = status;
  }
}

export async function startCheck(token, asked, signal) {
  const response = await ask("/v1/checks", token, signal, {
    method: "POST",
    body: JSON.stringify(asked),
    headers: { "Content-Type": "application/json" },
  });
  return response.json();
}

// Give how a check stands now.
export async function readCheck(token, id, signal) {
  return (await ask(`/v1/checks/${id}`, token, signal)).json();
}

// Give the events of a check, { name, data }, until the one that ends it. A lost connection is taken up where it broke:
// EventSource would do the same, but it cannot send a token.
export async function* followCheck(token, id, signal, pause = wait) {
  let last = 0;
  for (let failures = 0; ; failures += 1) {
    try {
      const response = await ask(`/v1/checks/${id}/events`, token, signal, { headers: { "Last-Event-ID": String(last) } });
      for await (const event of events(response.body)) {
        last = event.id;
        failures = 0;
        yield event;
        if (event.name === "done") return;
      }
    } catch (error) {
      if (error instanceof Refusal || signal.aborted) throw error;
    }
    if (failures >= RETRIES) throw new Error("the connection to the server was lost");
    await pause(500 * 2 ** failures);
  }
}

// Read server-sent events (WHATWG HTML, section 9.2) as this server writes them: one line of data each.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      if (fields.data) yield { id: Number(fields.id), name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

// Without a token it is the session's, of whoever is signed in.
async function ask(path, token, signal, { headers = {}, ...more } = {}) {
  const shown = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { signal, headers: { ...headers, ...shown }, ...more });
  if (response.ok) return response;
  throw new Refusal(response.status, await response.json().catch(() => null));
}

function wait(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
