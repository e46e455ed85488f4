#!/bin/sh
# Post each line of a manifest to central: CENTRAL=http://127.0.0.1:8090 TOKEN_FILE=api-token post-manifest.sh FILE
# A line that was posted before changes nothing, so the whole file may be posted again.
set -eu
header=$(mktemp)
trap 'rm -f "$header"' EXIT
# In a file, so that no list of processes shows the token.
printf 'Authorization: Bearer %s\n' "$(head -n 1 "$TOKEN_FILE")" > "$header"
while IFS= read -r line; do
  printf '%s' "$line" |
    curl --fail --silent --show-error --header "@$header" --header 'Content-Type: application/json' \
      --data-binary @- "$CENTRAL/v1/messages"
  echo
done < "$1"
