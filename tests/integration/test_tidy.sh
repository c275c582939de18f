#!/usr/bin/env bash
# tests/tidy/tidy finds one planted fault of every kind that it looks for, and nothing without one.
. "$(dirname "$0")/lib.sh"

copy=$WORK/tree
mkdir "$copy"
git ls-files -z | xargs -0 -I{} cp --parents {} "$copy" 2>/dev/null

# plant SENTENCE REGEX FILE TEXT: tidy says REGEX once TEXT stands at the end of FILE.
plant() {
    local sentence=$1 regex=$2 file=$copy/$3 text=$4 said
    [ -e "$file" ] && cp "$file" "$WORK/kept"
    printf '%s\n' "$text" >>"$file"
    said=$(tests/tidy/tidy "$copy")
    like "$sentence" "$said" "$regex"
    if [ -e "$WORK/kept" ]; then mv "$WORK/kept" "$file"; else rm "$file"; fi
}

command -v clang-format >/dev/null || make --no-print-directory deps-dev >/dev/null 2>&1
ok 'the tree as it is is clean' tests/tidy/tidy "$copy"
plant 'uv.h in common/' 'common/bytes.c:[0-9]+:#include <uv.h>.*not allowed' common/bytes.c '#include <uv.h>'
plant 'sqlite3.h in wire/' 'wire/hash.c:[0-9]+:.*sqlite3.h.*not allowed' wire/hash.c '#include <sqlite3.h>'
plant 'sodium.h in participant/' 'participant/read.c:[0-9]+:.*sodium.h.*not allowed' participant/read.c '#include <sodium.h>'
plant 'a core that includes the runtime' 'coordinator/leader.c:.*may include only from common, coordinator' \
    coordinator/leader.c '#include "runtime/log.h"'
plant 'wire/ that includes a core' 'wire/hash.c:.*may include only from common, wire' wire/hash.c '#include "coordinator/core.h"'
plant 'a clock in a core' 'participant/decide.c:.*not in a core' participant/decide.c 'static long now_s = time(0);'
plant 'strcpy' 'common/txid.c:[0-9]+:.*banned call' common/txid.c 'void f(char *a) { strcpy(a, ""); }'
plant 'a line that is too long' 'common/txid.c:[0-9]+: line of 13[0-9] columns' common/txid.c "/* $(printf 'x%.0s' {1..125}) */"
plant 'a function that is too long' 'common/txid.c:[0-9]+: function of 8[0-9] lines' common/txid.c \
    "$(printf 'int f(void)\n{\n'; printf '    f();\n%.0s' {1..80}; printf '}')"
plant 'a TODO without an issue' 'common/txid.c:[0-9]+:.*names no issue' common/txid.c '/* TODO: later */'
plant 'a header that nobody includes' 'common/lonely.h: nobody includes it' common/lonely.h '#define LONELY 1'
plant 'a file that is not formatted' 'common/txid.c: run make format' common/txid.c 'int   f (void) ;'
finish
