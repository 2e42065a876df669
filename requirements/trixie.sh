#!/usr/bin/env bash
# Runs the suite and the quickstart on the tfx-1.21 stack. If this machine's glibc is too old, they run in a Debian
# 13 root in .trixie, which debootstrap makes from Debian's packages (needs the user root; `make clean` removes it).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD/.trixie

unmount() { for name in dev proc sys; do ! mountpoint -q "$root/$name" || umount "$root/$name"; done; }

if [ "${1:-}" = --clean ]; then
  if [ -d "$root" ]; then unmount; rm -rf --one-file-system "$root"; fi
  exit 0
fi

quickstart="make quickstart OUTPUT=output && .venv/bin/python -m tests.stacks record output/quickstart"
commands="make test && $quickstart"
if STACK=tfx-1.21 python3 requirements/choose_stack.py >/dev/null 2>&1; then
  exec env STACK=tfx-1.21 bash -c "$commands"
fi

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "error: this machine is too old for tfx-1.21, and a Debian 13 root needs the user root and debootstrap" \
       "(apt-get install debootstrap)" >&2
  exit 1
fi
if [ ! -f "$root/.made" ]; then
  unmount
  rm -rf --one-file-system "$root"
  echo "Making a Debian 13 root in .trixie (about a minute; once)"
  debootstrap --variant=minbase \
    --include=ca-certificates,g++,gcc,git,make,procps,python3,python3-dev,python3-venv trixie "$root" >/dev/null
  touch "$root/.made"
fi
trap unmount EXIT
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"  # may trust more than Debian's
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /sys "$root/sys"   # libtpu counts the processors there

# Copies the checkout without files that git ignores. The root keeps its .venv and output between runs.
source=$root/src/siglip-tfx
mkdir -p "$source"
find "$source" -mindepth 1 -maxdepth 1 ! -name .venv ! -name output -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -cf - -T - | tar -xf - -C "$source"
inside() { chroot "$root" env HOME=/root STACK=tfx-1.21 bash -c "cd /src/siglip-tfx && $1"; }
inside "$commands"

echo "Running the quickstart on this machine's own stack, to compare the two"
bash -c "$quickstart"
other=$source/output
rm -rf "$other/host" && cp -r output/quickstart "$other/host"
.venv/bin/python -m tests.stacks compare output/quickstart "$other/quickstart"
inside ".venv/bin/python -m tests.stacks compare output/quickstart output/host"
echo "Reports: output/quickstart and .trixie/src/siglip-tfx/output/quickstart, each in artifacts/RunReport/report"
