#!/usr/bin/env bash
# The digits domain, whole: each line resumes what it finds half done. MNIST from a folder of its IDX files, or from the Hub.
#   bash trainers/runs/multimnist.sh ../runs/multimnist [MNIST_FOLDER]
set -euo pipefail
runs=${1:?usage: multimnist.sh RUNS_FOLDER [MNIST_FOLDER]}
mnist=${2:+--mnist $2}
stage() { python -m trainers "$@"; }

stage data --data "$runs/data" $mnist
stage classifiers --data "$runs/data" --run "$runs/judge" --seed 1 --steps 1800
stage classifiers --data "$runs/data" --run "$runs/selector" --seed 2 --steps 1200 --widths 24 48 96 --features 96
stage generator --data "$runs/data" --run "$runs/generator" --kimg 400
stage encoder --data "$runs/data" --generator "$runs/generator" --run "$runs/encoder" --steps 3000
stage encoder --data "$runs/data" --generator "$runs/generator" --encoder "$runs/encoder" --tune --run "$runs/tuned" --steps 8000
stage codes --data "$runs/data" --encoder "$runs/tuned" --run "$runs/codes"
for edit in 1to2 2to3 3to4; do
    stage edit --codes "$runs/codes" --attribute $edit --run "$runs/lw-$edit"
done
