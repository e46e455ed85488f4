# Track the links of an HTML file over HTTP, with nothing but Ruby:
# ENCODER=http://127.0.0.1:8070 TOKEN_FILE=sender-token ruby rewrite.rb FILE > tracked.html
# The manifest, which central is to know when the mail is sent, goes to standard error.
require "json"
require "net/http"

def rewrite(html)
  uri = URI("#{ENV.fetch("ENCODER")}/v1/rewrite")
  token = File.read(ENV.fetch("TOKEN_FILE")).split.first
  headers = { "Authorization" => "Bearer #{token}", "Content-Type" => "application/json" }
  answer = Net::HTTP.post(uri, JSON.generate(html: html), headers)
  said = JSON.parse(answer.body)
  raise said["reason"] || said["detail"] unless answer.is_a?(Net::HTTPOK)
  said
end

answer = rewrite(File.read(ARGV.fetch(0), encoding: "UTF-8"))
warn JSON.generate(answer["manifest"])
print answer["html"]
