# Debian's ruby-postmark, unmodified: ruby send.rb HOST:PORT TOKEN
require "json"
require "postmark"
address, token = ARGV
host, port = address.split(":")
options = { host: host, port: port.to_i, secure: false }
client = Postmark::ApiClient.new(token, **options)
mail = lambda do |to|
  { from: "Shop <shop@example.com>", to: to, subject: "Grüße", tag: "welcome", metadata: { order: "7" },
    html_body: '<p><a href="https://example.org/seeds/">Seeds</a></p>', text_body: "https://example.org/seeds/",
    track_links: "HtmlOnly", cc: "", bcc: "", reply_to: "" }
end
sent = client.deliver(mail.call("b@example.org"))
batch = client.deliver_in_batches([mail.call("c@example.org"), mail.call("gone@example.org")])
begin
  client.deliver(mail.call("gone@example.org"))
rescue Postmark::InactiveRecipientError => error
  inactive = error.recipients
end
begin
  Postmark::ApiClient.new("nobody-knows-this-token", **options).deliver(mail.call("b@example.org"))
rescue Postmark::InvalidApiKeyError
  unknown = true
end
puts JSON.generate(sent: [sent[:error_code], sent[:message], sent[:to]], batch: batch.map { |one| one[:error_code] },
                   inactive: inactive, unknown: unknown)
