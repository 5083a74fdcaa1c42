#!/usr/bin/env bash
# The digits domain, whole: each line resumes what it finds half done. MNIST from a folder of its IDX files, or from the Hub.
#   bash trainers/runs/multimnist.sh ../runs/multimnist [MNIST_FOLDER]
# At the end the models lie in RUNS_FOLDER/registry, measured: `LWGAN_REGISTRY=RUNS_FOLDER/registry python app.py` shows them.
set -euo pipefail
runs=${1:?usage: multimnist.sh RUNS_FOLDER [MNIST_FOLDER]}
mnist=${2:+--mnist $2}
stage() { python -m trainers "$@"; }
keep() { mkdir -p "$2" && cp "$1/config.json" "$1/model.safetensors" "$2/"; }

stage data --data "$runs/data" $mnist
stage classifiers --data "$runs/data" --run "$runs/selector" --seed 2 --steps 800 --widths 24 48 96 --features 96
stage classifiers --data "$runs/data" --run "$runs/judge" --seed 1 --steps 1500
stage generator --data "$runs/data" --run "$runs/generator" --kimg 144
stage encoder --data "$runs/data" --generator "$runs/generator" --tune --run "$runs/warm" --steps 1000
stage encoder --data "$runs/data" --generator "$runs/generator" --start "$runs/warm" --tune --run "$runs/tuned" \
    --steps 4800 --gan-every 2 --code 0 --code-noise 0.1 --learning-rate 5e-4
stage codes --data "$runs/data" --encoder "$runs/tuned" --run "$runs/codes"

keep "$runs/tuned/generator" "$runs/registry/lwgan-multimnist-generator"
keep "$runs/tuned" "$runs/registry/lwgan-multimnist-encoder"
keep "$runs/judge" "$runs/registry/lwgan-multimnist-judge"
keep "$runs/data/samples" "$runs/registry/lwgan-multimnist-samples"
choose="--generator $runs/tuned/generator --selector $runs/selector"
for edit in 1to2 2to3 3to4; do
    stage edit --codes "$runs/codes" --attribute $edit --run "$runs/lw-$edit" $choose
    stage edit --codes "$runs/codes" --attribute $edit --run "$runs/centroids-$edit" $choose centroids
    keep "$runs/lw-$edit" "$runs/registry/lwgan-multimnist-lw-$edit"
    keep "$runs/centroids-$edit" "$runs/baselines/lwgan-multimnist-centroids-$edit"
done
stage evaluate --data "$runs/data" --registry "$runs/registry" --baselines "$runs/baselines" --docs "$runs/docs"
