#!/bin/sh
# Draws the pictures of docs/study from report.html with headless Chromium; takes about a minute.
# sh docs/study/pictures.sh [PAGE [FOLDER]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
page=$(realpath "${1:-$here/report.html}")
folder=${2:-$here}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

shoot() {  # NAME WIDTH HEIGHT PAGE [OPTION...]
  name=$1 size=$2,$3 shown=$4
  shift 4
  "$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
    --disable-component-update --disable-background-networking "--user-data-dir=$profile" \
    "--window-size=$size" "--screenshot=$folder/page-$name.png" "$@" "file://$shown" \
    >/dev/null 2>&1
}

# A page with one section: a headless browser draws the top of a page, whatever its address says.
section() {
  sed -n -e '1,/<\/head>/p' -e "/<section id=\"$1\">/,/<\/section>/p" "$page" > "$profile/$1.html"
}

shoot light 1200 1600 "$page"
shoot dark 1200 1600 "$page" --blink-settings=preferredColorScheme=0
shoot narrow 500 1200 "$page"
section tree && shoot tree 1200 1500 "$profile/tree.html"
section case && shoot case 1200 900 "$profile/case.html"
