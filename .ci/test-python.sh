#!/usr/bin/env bash
# The suite of the Python package.
. "$(dirname "$0")/lib.sh"

.ci/tools.sh python
"$venv/bin/python" -m pytest -q -rs -W error -p no:cacheprovider bindings/python/tests
