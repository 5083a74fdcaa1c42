#!/usr/bin/env bash
# The paper's size and cited layout (128 px, digits in slots), for a GPU. Repeat the command to resume after a stop.
#   bash trainers/runs/multimnist128.sh ../runs/multimnist128 [MNIST_FOLDER]
set -euo pipefail
runs=${1:?usage: multimnist128.sh RUNS_FOLDER [MNIST_FOLDER]}
nets="--data $runs/data --generator $runs/generator --tune --batch 64 --gan-batch 64 --steps 20000 --processes 1"
stage() { python -m trainers "$@"; }

stage data multimnist --data "$runs/data" --resolution 128 --options layout=slots ${2:+"mnist=$2"}
judge="judge labels --data $runs/data --network counts --shift 0 --darken 0.3 --ghosts 0.35 --steps 3000"
stage $judge --run "$runs/judge" --seed 1
stage $judge --run "$runs/selector" --seed 2 --widths 24 48 96 --features 96
stage generator --data "$runs/data" --run "$runs/generator" --w-dim 512 --z-dim 512 --kimg 4000 --processes 1
stage encoder $nets --run "$runs/tuned"
stage align join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
stage encoder $nets --start "$runs/joined" --run "$runs/final" --norm 0 --code 0.1 --code-noise 0.1 --mixed 0.1
stage align match --data "$runs/data" --start "$runs/final" --run "$runs/matched"
stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes" --train 25000
for change in 1to2 2to3 3to4; do
    [ -e "$runs/lw-$change/config.json" ] || stage edit --codes "$runs/codes" --change $change --run "$runs/lw-$change" \
        --generator "$runs/matched/generator" --selector "$runs/selector" lw
done
