#!/usr/bin/env bash
# Makes .venv from the lock of the newest stack that this machine can load (choose_stack.py says which and why), or keeps
# the one that is there when lock, setup.py and interpreter have not changed. All packages come from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
# An active .venv cannot make itself anew.
PATH=":$PATH:"
PATH="${PATH//":$PWD/.venv/bin:"/:}"
PATH="${PATH#:}"
PATH="${PATH%:}"

# Any Python can choose; the first that runs does (a pyenv shim may be on PATH and yet not run).
chooser() {
  local python
  while IFS= read -r python; do
    if "$python" -c '' >/dev/null 2>&1; then echo "$python"; return; fi
  done < <(type -ap python3 python3.13 python3.12 python3.11 python3.10
           ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1*/bin/python3 2>/dev/null)
  echo "error: no Python was found; install Python 3.10 to 3.13, such as by apt-get install python3 python3-venv" >&2
  return 1
}

chosen=$("$(chooser)" requirements/choose_stack.py)
stack=${chosen%% *} python=${chosen#* }
lock=requirements/$stack.txt
want=$( (cat "$lock" setup.py; echo "$python") | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.made-from 2>/dev/null || true)" = "$want" ]; then exit 0; fi

echo "Making .venv with $("$python" --version) from $lock (about a minute; once)"
rm -rf .venv   # an interrupted or outdated one
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' "$lock" | cut -d' ' -f1)"
.venv/bin/uv pip sync --quiet --python .venv/bin/python "$lock"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$want" > .venv/.made-from
