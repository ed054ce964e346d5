#!/bin/sh
# Puts lifecycle policy and index template of the mxrc logs into a cluster; safe to repeat.
# Usage: setup.sh [URL] (default http://localhost:9200). Credentials: CURL_OPTIONS="-u user:password".
set -eu
url=${1:-http://localhost:9200}
here=$(dirname "$0")
put() {
    # shellcheck disable=SC2086 # options are words
    curl -fsS ${CURL_OPTIONS:-} -X PUT -H 'Content-Type: application/json' "$url/$1" --data-binary "@$here/$2"
    echo
}
put _ilm/policy/mxrc-logs ilm-policy.json
put _index_template/mxrc-logs index-template.json
