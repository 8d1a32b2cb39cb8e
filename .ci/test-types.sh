#!/usr/bin/env bash
# The declarations that editors see: mypy --strict over the Python package, its uses and the examples, tsc --strict over index.d.ts and its
# uses; and both against what is there at run time.
. "$(dirname "$0")/lib.sh"

.ci/tools.sh python
.ci/tools.sh typescript
export MYPYPATH=bindings/python MYPY_CACHE_DIR=$target/mypy
"$venv/bin/python" -m mypy --strict -p procs
for example in examples/*/main.py bindings/python/types/uses.py; do
    "$venv/bin/python" -m mypy --strict --no-error-summary "$example"
done
PYTHONPATH=bindings/python "$venv/bin/python" bindings/python/types/stubs.py --allowlist bindings/python/types/stubs.txt --ignore-unused-allowlist
mkdir -p "$target/types"
node bindings/node/types/exports.cjs >"$target/types/exports.ts"
tsc=("$tools/typescript/node_modules/.bin/tsc" --noEmit --target es2022 --module nodenext --types node --typeRoots "$tools/typescript/node_modules/@types")
"${tsc[@]}" --strict bindings/node/index.d.ts bindings/node/types/*.ts "$target/types/exports.ts"

# In JavaScript tsc's opinion of types is not asked for, only of names: those that nothing declares, that are declared twice or too late, or that
# nothing uses; and of syntax. An error without a file is one of tsc's own.
mapfile -t scripts < <(find bindings examples tests -name node_modules -prune -o -regex '.*\.[cm]?js' -print | sort)
names='TS(1[0-9]{3}|2300|2304|2448|2451|2454|2503|2552|258[0-4]|2588|259[1-3]|6133|6192|6196|6198|6199|18004):'
status=0
"${tsc[@]}" --allowJs --checkJs --noUnusedLocals --skipLibCheck "${scripts[@]}" >"$target/types/names.txt" || status=$?
[ "$status" -le 2 ] || fail "tsc over the JavaScript files ended with status $status"
if grep -E "error $names|^error " "$target/types/names.txt"; then fail "names in JavaScript"; fi
printf 'types: mypy and tsc found nothing, %d JavaScript files have no unknown or unused names\n' "${#scripts[@]}"
