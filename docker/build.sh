#!/usr/bin/env bash
# Builds both images from the last commit, tags them with it, pushes them, and prints the gin settings that name them.
#   docker/build.sh us-central1-docker.pkg.dev/PROJECT/siglip            with Docker, on this machine
#   docker/build.sh us-central1-docker.pkg.dev/PROJECT/siglip --cloud    with Google Cloud Build
set -euo pipefail
cd "$(dirname "$0")/.."
registry=${1:-}
how=${2:-}
if [ -z "$registry" ] || [ -n "$how" ] && [ "$how" != --cloud ]; then
  echo "usage: docker/build.sh REGISTRY [--cloud], such as us-central1-docker.pkg.dev/PROJECT/siglip" >&2
  exit 2
fi
if [ -n "$(git status --porcelain)" ]; then
  echo "error: there are uncommitted changes, but the tag of an image names a commit; commit or stash them" >&2
  exit 1
fi
tag=$(git rev-parse --short=12 HEAD)
image=$registry/siglip-tfx:$tag
tpu=$registry/siglip-tfx-tpu:$tag
if [ "$how" = --cloud ]; then
  gcloud builds submit --config docker/cloudbuild.yaml --substitutions "_IMAGE=$image,_TPU_IMAGE=$tpu" .
else
  # git archive sends the commit, without the files that git ignores.
  git archive HEAD | docker build --tag "$image" --file docker/Dockerfile -
  git archive HEAD | docker build --tag "$tpu" --file docker/Dockerfile.tpu -
  docker push "$image"
  docker push "$tpu"
fi
echo "Built. Set in gin:"
echo "  Vertex.image = '$image'"
echo "  Vertex.trainer_image = '$tpu'   # on TPUs"
