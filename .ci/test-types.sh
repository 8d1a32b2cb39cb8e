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
"$tools/typescript/node_modules/.bin/tsc" --strict --noEmit --target es2022 --module nodenext --types node \
    --typeRoots "$tools/typescript/node_modules/@types" bindings/node/index.d.ts bindings/node/types/*.ts "$target/types/exports.ts"
printf 'types: mypy and tsc found nothing\n'
