#!/bin/sh
# All that only a GPU can show, in at most nine minutes; see benchmarks/gpu/__main__.py.
cd "$(dirname "$0")/../.." || exit 2
exec "${PYTHON:-.venv/bin/python}" -m benchmarks.gpu "$@"
