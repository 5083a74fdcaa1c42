#!/usr/bin/env bash
# The paper's digits: 128 px, in the slots of the repository that it cites, 25,000 codes. Sizes are for two
# CPU cores and two hours. Each line resumes what it finds half done (`align grow`, 2 minutes, begins anew).
#   bash trainers/runs/multimnist128.sh ../runs/multimnist128 [MNIST_FOLDER]
# On a GPU: SCALE=10 PROCESSES=1 trains ten times as long. docs/training/multimnist.md says what came of it.
set -euo pipefail
runs=${1:?usage: multimnist128.sh RUNS_FOLDER [MNIST_FOLDER]}
here=$(dirname "$0")
model=$runs/registry/lwgan-multimnist bundled=$here/../../lwgan/bundled/lwgan-multimnist
scale=${SCALE:-1} processes=${PROCESSES:-2}
stage() { python -m trainers "$@"; }

stage data multimnist --data "$runs/data" --resolution 128 --options layout=slots ${2:+"mnist=$2"}

# Generator and encoder grow out of the bundled ones of 64 px, which know strokes but neither slots nor this
# size. From random weights both GAN and autoencoder drew black pictures only.
stage align grow --data "$runs/data" --encoder "$bundled-encoder" --generator "$bundled-generator" \
    --run "$runs/grown"
stage encoder --data "$runs/data" --start "$runs/grown" --run "$runs/tuned" --tune --steps $((2800 * scale)) \
    --gan-every 4 --code 0 --norm 0 --code-noise 0.1 --learning-rate 5e-4 --ema-kimg 3 \
    --processes "$processes"

# Readers: the selector chooses strengths, the judge measures.
judge=(--data "$runs/data" --network counts --shift 0 --darken 0.3 --ghosts 0.35 --batch 64)
stage judge labels "${judge[@]}" --run "$runs/selector" --seed 2 --steps 500 --widths 16 32 64 --features 96
stage judge labels "${judge[@]}" --run "$runs/judge" --seed 1 --steps 600 --widths 24 48 96
stage codes --data "$runs/data" --encoder "$runs/tuned" --run "$runs/codes" --train 25000 --heldout 700
stage judge codes --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64

stage register "$runs/tuned/generator" "$model-generator"
stage register "$runs/tuned" "$model-encoder"
stage register "$runs/judge" "$model-judge"
stage register "$runs/calibrator" "$model-latent-classifier"
stage sweep "$here/multimnist128.yaml" --run "$runs"
