#!/bin/sh
# Track the links of an HTML file over HTTP: ENCODER=http://127.0.0.1:8070 TOKEN_FILE=sender-token rewrite.sh FILE > tracked.html
# The manifest, which central is to know when the mail is sent, goes to standard error. Needs curl and jq.
set -eu
header=$(mktemp)
trap 'rm -f "$header"' EXIT
# In a file, so that no list of processes shows the token.
printf 'Authorization: Bearer %s\n' "$(head -n 1 "$TOKEN_FILE" | cut -d ' ' -f 1)" > "$header"
answer=$(jq --raw-input --slurp '{html: .}' < "$1" |
  curl --fail --silent --show-error --header "@$header" --header 'Content-Type: application/json' \
    --data-binary @- "$ENCODER/v1/rewrite")
printf '%s' "$answer" | jq --compact-output '.manifest' >&2
printf '%s' "$answer" | jq --raw-output --join-output '.html'
