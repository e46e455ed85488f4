// Send a mail with nodemailer through the relay, which tracks its links: node send.mjs HOST:PORT FROM TO FILE
// FILE is HTML. Tag and metadata go in headers that the relay takes out again.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const nodemailer = createRequire(process.cwd() + "/")("nodemailer");
const [address, from, to, file] = process.argv.slice(2);
const [host, port] = address.split(":");
const transport = nodemailer.createTransport({ host, port: Number(port), pool: true });
const sent = await transport.sendMail({
  from,
  to,
  subject: "Seeds",
  html: readFileSync(file, "utf8"),
  headers: { "X-PM-Tag": "welcome", "X-PM-Metadata-Order": "1234" },
});
console.log(sent.response);
transport.close();
