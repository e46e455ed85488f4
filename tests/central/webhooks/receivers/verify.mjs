// npm `standardwebhooks`, unmodified: a line of JSON [secret, headers, body] in, "true" or "false" out, for each.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
const { Webhook } = createRequire(process.env.CLIENTS + "/")("standardwebhooks");
for await (const line of createInterface({ input: process.stdin })) {
  const [secret, headers, body] = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("true");
  } catch {
    console.log("false");
  }
}
