// npm `postmark`, unmodified: node send.mjs HOST:PORT TOKEN
import { createRequire } from "node:module";
const { ServerClient, Errors } = createRequire(process.env.CLIENTS + "/")("postmark");
const [host, token] = process.argv.slice(2);
const client = new ServerClient(token, { useHttps: false, requestHost: host });
const mail = (to) => ({
  From: "Shop <shop@example.com>", To: to, Subject: "Grüße", Tag: "welcome", Metadata: { order: "7" },
  HtmlBody: '<p><a href="https://example.org/seeds/">Seeds</a></p>', TextBody: "https://example.org/seeds/",
  TrackLinks: "HtmlOnly",
});
const sent = await client.sendEmail(mail("b@example.org"));
const batch = await client.sendEmailBatch([mail("c@example.org"), mail("gone@example.org")]);
const refused = await client.sendEmail(mail("gone@example.org")).catch((error) => error);
const stranger = new ServerClient("nobody-knows-this-token", { useHttps: false, requestHost: host });
const unknown = await stranger.sendEmail(mail("b@example.org")).catch((error) => error);
console.log(JSON.stringify({
  sent: [sent.ErrorCode, sent.Message, sent.To],
  batch: batch.map((one) => one.ErrorCode),
  inactive: refused instanceof Errors.InactiveRecipientsError ? refused.recipients : String(refused),
  unknown: unknown instanceof Errors.InvalidAPIKeyError,
}));
