#!/usr/bin/env bash
# The paper's size and cited layout (128 px, digits in slots), for a GPU. May be stopped or killed at any time: repeat the command until it ends.
#   bash trainers/runs/multimnist128.sh ../runs/multimnist128 [MNIST_FOLDER]
set -euo pipefail
runs=${1:?usage: multimnist128.sh RUNS_FOLDER [MNIST_FOLDER]}
mnist=${2:+--mnist $2}
nets="--data $runs/data --generator $runs/generator --processes 1"
stage() { python -m trainers "$@"; }

stage data --data "$runs/data" --resolution 128 --layout slots $mnist
stage classifiers --data "$runs/data" --run "$runs/judge" --seed 1
stage classifiers --data "$runs/data" --run "$runs/selector" --seed 2 --widths 24 48 96 --features 96
stage generator --data "$runs/data" --run "$runs/generator" --channels 512 256 128 64 32 16 --w-dim 512 --z-dim 512 --kimg 4000 --processes 1
stage encoder $nets --tune --run "$runs/tuned" --batch 64 --gan-batch 64 --steps 20000
stage join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
stage encoder $nets --start "$runs/joined" --tune --run "$runs/final" --batch 64 --gan-batch 64 --steps 20000 --norm 0 --code 0.1 --code-noise 0.1 --mixed 0.1
stage match --data "$runs/data" --start "$runs/final" --run "$runs/matched"
stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes" --train 25000
for edit in 1to2 2to3 3to4; do
    stage edit --codes "$runs/codes" --attribute $edit --run "$runs/lw-$edit" --generator "$runs/matched/generator" --selector "$runs/selector" \
        lw --rank 24 --blur 0.03 --learning-rate 0.2
done
