#!/usr/bin/env bash
# Makes .venv from the lock, or keeps the one that is there when neither lock, setup.py nor interpreter has changed.
# Needs Python 3.10 with its venv module; everything else comes from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=requirements/tfx-1.16.txt

usable() {
  [ -x "$1" ] && "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1
}

find_python() {
  local candidate
  while IFS= read -r candidate; do
    if usable "$candidate"; then echo "$candidate"; return; fi
  done < <(type -ap python3.10; ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python3.10 2>/dev/null)
  # A uv that can download an interpreter is the last resort.
  if command -v uv >/dev/null && uv python install --quiet 3.10 >&2; then uv python find 3.10; return; fi
  cat >&2 <<'MESSAGE'
error: no working Python 3.10 with its venv module was found (looked at python3.10 on PATH, in pyenv's versions, and asked
uv for one). The lock is for 3.10. Install it, for instance by one of
  apt-get install python3.10-venv      (Ubuntu 22.04)
  pyenv install 3.10
  pip install uv && uv python install 3.10
MESSAGE
  return 1
}

python=$(find_python)
want=$( (cat "$lock" setup.py; echo "$python") | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.made-from 2>/dev/null || true)" = "$want" ]; then exit 0; fi

echo "Making .venv with $("$python" --version) from $lock (about a minute; once)"
rm -rf .venv   # an interrupted or outdated one
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' "$lock" | cut -d' ' -f1)"
.venv/bin/uv pip sync --quiet --python .venv/bin/python "$lock"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$want" > .venv/.made-from
