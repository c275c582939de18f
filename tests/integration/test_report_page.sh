#!/usr/bin/env bash
# The page of a chaos run, opened in a browser: everything is there, the charts are drawn, nothing is fetched,
# nothing complains. Screenshots at two widths and in dark stay in BUILD_DIR/report-page/, to be looked at.
#
#     tests/integration/test_report_page.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

WRITER=$BUILD/tests/unit/test_report
SHOTS=$BUILD/report-page
sections='Checks|Over time|Latency by phase|Time to unblock|Slowest commits|Histories and logs'

export PROBE=$WORK/probe
cat >"$PROBE" <<'END'
<script>
for (const chart of document.querySelectorAll('.chart')) {
    const pixels = [...chart.querySelectorAll('canvas')].map(c =>
        c.getContext('2d').getImageData(0, 0, c.width, c.height).data);
    const found = [...document.querySelectorAll('#' + chart.id + '-legend i')].filter(line => {
        const wanted = getComputedStyle(line).color.match(/\d+/g).map(Number);
        let n = 0;
        for (const p of pixels)
            for (let i = 0; i < p.length; i += 4)
                n += p[i + 3] > 200 && [0, 1, 2].every(k => Math.abs(p[i + k] - wanted[k]) <= 12);
        return n >= 20;
    });
    chart.dataset.drawn = found.length;
}
</script>
END

# browse PAGE [chromium's options]: what chromium prints; its console in $WORK/console.
browse() {
    local page=$1
    shift
    # root may not use its sandbox; no name resolves, so that a page that fetches something complains
    timeout "$DEADLINE" chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
        --user-data-dir="$WORK/profile" --host-resolver-rules='MAP * ~NOTFOUND' --virtual-time-budget=5000 \
        --enable-logging=stderr "$@" "file://$page" 2>"$WORK/chromium.err"
    local status=$?
    grep -a 'CONSOLE' "$WORK/chromium.err" >"$WORK/console"
    return $status
}

# page NAME [failed]: writes the page of a made-up run and keeps its DOM in $dom.
page() {
    mkdir -p "$WORK/$1/cluster/log"
    touch "$WORK/$1/bank.edn" "$WORK/$1/list.edn" "$WORK/$1/cluster/log/coordinator-1.log"
    "$WRITER" --page "$WORK/$1" ${2:+"$2"}
    report $? "$1: report.html and report.json are written"
    html=$WORK/$1/report.html
    # what only a browser can tell: whether every series of a chart's legend has its colour in the chart
    sed '/<\/body>/e cat "$PROBE"' "$html" >"$WORK/$1/probe.html"
    dom=$(browse "$WORK/$1/probe.html" --dump-dom)
    report $? "$1: chromium opens it"
    is "$1: the console is silent" "$(cat "$WORK/console")" ''
}

# The rows of the table with this id.
rows() {
    grep -oE "<table id=\"$1\">.*</table>" <<<"$dom" | sed 's|</table>.*||' | grep -oE '<tr>' | wc -l
}

command -v chromium >/dev/null
report $? 'chromium is installed (make deps-test)' || finish
[ -r /usr/share/javascript/dygraphs/dygraph.min.js ]
report $? 'libjs-dygraphs is installed (make deps)' || finish

# ---- a run in which everything held ----

page held
like 'the verdict is at the top' "$dom" '<p id="verdict" role="status" class="held">. Everything held</p>'
is 'every section is there' "$(grep -oE '<h2 id="[a-z]+">[^<]*' <<<"$dom" | sed 's/.*>//' | paste -sd '|')" "$sections"
is 'every series of the four charts is drawn' "$(grep -oE 'data-drawn="[0-9]+"' <<<"$dom" | tr -dc '0-9\n' | paste -sd ' ')" '3 4 1 5'
is 'each check has a line' "$(grep -oE '<span class="word held">' <<<"$dom" | wc -l)" 7
is 'calm, recovery and nine kinds of fault are in the table of phases' "$(rows phase-table)" 12
is 'ten faults are in the table of times to unblock' "$(rows fault-table)" 11
is 'the twenty slowest commits are there' "$(rows slow-table)" 21
like 'histories and logs are linked' "$dom" 'href="bank\.edn"' 'href="cluster/log/coordinator-1\.log"'
like 'the command that runs it again is there' "$dom" 'assent-chaos run chaos/scenarios/mix\.yaml --seed 11'
is 'links lead only into the page and beside it' \
    "$(grep -oE '(src|href)="[^"]*"' <<<"$dom" | grep -E '"(https?:|//|/)')" ''

mkdir -p "$SHOTS"
for shot in wide:1200,5200 phone:500,6900 'dark:1200,5200 --blink-settings=preferredColorScheme=0'; do
    read -r size options <<<"${shot#*:}"
    rm -f "$SHOTS/${shot%%:*}.png"
    browse "$html" --window-size="$size" --screenshot="$SHOTS/${shot%%:*}.png" $options >/dev/null
    [ -s "$SHOTS/${shot%%:*}.png" ]
    report $? "${shot%%:*}: the screenshot is in $SHOTS"
done

# ---- a run in which something did not ----

page bad failed
like 'the verdict says that a check failed' "$dom" '<p id="verdict" role="status" class="failed">. A check failed</p>'
like 'what failed comes first, what was not judged next' "$(grep -oE '<span class="word [a-z]+">' <<<"$dom" | head -n 3 | tr -d '\n')" \
    'word failed.*word unjudged.*word held'
like 'what was found is text, not markup' "$dom" 'G-single: T17 \(process 3' '&lt;/script&gt;&lt;b&gt;not markup&lt;/b&gt;'

# ---- without Dygraphs ----

ASSENT_DYGRAPHS=/nowhere page plain
like 'without the charts the page says which package to install' "$dom" '<p class="note" id="no-charts">.*' 'apt install libjs-dygraphs'
is 'and its tables are complete' "$(rows phase-table) $(rows fault-table) $(rows slow-table)" '12 11 21'

# ---- the checks themselves ----

sed 's|</body>|<script>nobody.defined(this)</script></body>|' "$html" >"$WORK/broken.html"
browse "$WORK/broken.html" --dump-dom >/dev/null
like 'a script that fails would be seen' "$(cat "$WORK/console")" 'nobody is not defined'
sed 's|</body>|<img src="http://example.org/x.png"></body>|' "$html" >"$WORK/fetching.html"
browse "$WORK/fetching.html" --dump-dom >/dev/null
like 'a request would be seen' "$(cat "$WORK/console")" 'example.org.*Content Security Policy|Content Security Policy.*example.org'
finish
