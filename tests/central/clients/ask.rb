# Debian's ruby-postmark, unmodified: ruby ask.rb HOST PORT TOKEN TAG MESSAGE_ID
require "json"
require "postmark"
host, port, token, tag, message_id = ARGV
options = { host: host, port: port.to_i, secure: false }
client = Postmark::ApiClient.new(token, **options)
begin
  Postmark::ApiClient.new("nobody-knows-this-token", **options).get_stats_counts(:clicks)
rescue Postmark::InvalidApiKeyError
  refused = true
end
families = client.get_stats_counts(:clicks, type: :browserfamilies, tag: tag)
platforms = client.get_stats_counts(:clicks, type: :platforms, tag: tag)
locations = client.get_stats_counts(:clicks, type: :location, tag: tag)
counts = client.get_stats_counts(:clicks, tag: tag)
overview = client.get_stats_totals(tag: tag)
puts JSON.generate(
  list: client.clicks(tag: tag, count: 500).count,
  one: client.clicks_by_message_id(message_id).count,
  families: families.reject { |name, _| name == :days },
  platforms: { Desktop: platforms[:desktop], Mobile: platforms[:mobile] },
  locations: { HTML: locations[:html] || locations[:h_t_m_l], Text: locations[:text] },
  clicks: counts[:clicks],
  unique: counts[:unique],
  sent: overview[:sent],
  total: overview[:total_clicks],
  refused: refused
)
