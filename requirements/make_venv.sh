#!/usr/bin/env bash
# Makes .venv from the lock of the newest stack that this machine can load (choose_stack.py prints which and why). Keeps
# an existing .venv if lock, setup.py and interpreter are unchanged. All packages come from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
# Removes an active .venv from PATH, because this script replaces it.
PATH=":$PATH:"
PATH="${PATH//":$PWD/.venv/bin:"/:}"
PATH="${PATH#:}"
PATH="${PATH%:}"

# Any Python can run choose_stack.py. Takes the first one that runs: a pyenv shim on PATH may not run.
chooser() {
  local python
  while IFS= read -r python; do
    if "$python" -c '' >/dev/null 2>&1; then echo "$python"; return; fi
  done < <(type -ap python3 python3.13 python3.12 python3.11 python3.10
           ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1*/bin/python3 2>/dev/null)
  echo "error: no Python was found; install Python 3.10 to 3.13: apt-get install python3 python3-venv" >&2
  return 1
}

chosen=$("$(chooser)" requirements/choose_stack.py)
stack=${chosen%% *} python=${chosen#* }
lock=requirements/$stack.txt
want=$( (cat "$lock" setup.py; echo "$python") | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.made-from 2>/dev/null || true)" = "$want" ]; then exit 0; fi

echo "Making .venv with $("$python" --version) from $lock (about a minute; once)"
rm -rf .venv   # outdated, or left by an interrupted run
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' "$lock" | cut -d' ' -f1)"
.venv/bin/uv pip sync --quiet --python .venv/bin/python "$lock"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$want" > .venv/.made-from
