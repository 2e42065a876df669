#!/usr/bin/env bash
# Makes .venv-tpu (1 GB), in which tests/tpu runs and compiles the TPU program without a TPU. Keeps the existing one
# if lock and interpreter are unchanged. All packages come from PyPI. Needs the uv of .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=requirements/tpu-aot.txt
uv=.venv/bin/uv
[ -x "$uv" ] || { echo "error: there is no $uv; run 'make setup' first" >&2; exit 1; }

# jax 0.10.2 needs Python 3.11 to 3.13. Takes the first one that runs: a pyenv shim on PATH may not run.
find_python() {
  local python
  while IFS= read -r python; do
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
    then echo "$python"; return; fi
  done < <(type -ap python3.11 python3.12 python3.13
           ls -d /usr/bin/python3.1[123] "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123]*/bin/python3 2>/dev/null)
  if "$uv" python install --quiet 3.11 >&2 && "$uv" python find --no-project 3.11; then return; fi
  echo "error: no Python 3.11 to 3.13 was found, and uv could not install one; install one, for example with" \
       "apt-get install python3.11 or pyenv install 3.11" >&2
  return 1
}

python=$(find_python)
want=$( (cat "$lock"; echo "$python") | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv-tpu/.made-from 2>/dev/null || true)" = "$want" ]; then exit 0; fi

echo "Making .venv-tpu with $("$python" --version) from $lock (about a minute; once)"
rm -rf .venv-tpu   # outdated, or left by an interrupted run
"$uv" venv --quiet --python "$python" .venv-tpu
"$uv" pip sync --quiet --python .venv-tpu/bin/python "$lock"
echo "$want" > .venv-tpu/.made-from
