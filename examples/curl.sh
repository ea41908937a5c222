#!/bin/sh
# Every kind of answer, with curl: sh examples/curl.sh FILE
# TOKEN_MODEL names a model with a tokenizer, where the default one has none.
set -eu
url=${EARSHOT_URL:-http://localhost:8080}
file=${1:-test/fixtures/clips/dog.ogg}

ask() {
  curl --silent --show-error --fail-with-body ${EARSHOT_API_KEY:+-H "Authorization: Bearer $EARSHOT_API_KEY"} "$@"
  echo
}

echo '# tags'
ask -F "file=@$file" "$url/v1/tags?top_k=3"

echo '# tags, of the bytes alone, from the second second on'
ask --data-binary "@$file" -H 'Content-Type: application/octet-stream' "$url/v1/tags?top_k=1&start_seconds=1"

echo '# events, as a table'
ask -F "file=@$file" "$url/v1/events?response_format=csv&max_events=3"

echo '# the vector, as a NumPy file'
ask -F "file=@$file" -o "${OUT:-/dev/null}" "$url/v1/embeddings?encoding_format=npy"

echo '# tokens; a model without a tokenizer says so'
curl --silent -F "file=@$file" ${EARSHOT_API_KEY:+-H "Authorization: Bearer $EARSHOT_API_KEY"} \
  "$url/v1/tokens?encoding=base64${TOKEN_MODEL:+&model=$TOKEN_MODEL}"
echo

echo '# labels with "dog" in their names'
ask "$url/v1/labels?q=dog"
