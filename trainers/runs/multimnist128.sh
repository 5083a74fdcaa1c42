#!/usr/bin/env bash
# The paper's digits: 128 px, in the slots of the repository that it cites, 25,000 codes. Sizes are for two CPU cores; each line
# resumes what it finds half done.
#   bash trainers/runs/multimnist128.sh ../runs/multimnist128 [MNIST_FOLDER]
# On a GPU: SCALE=10 PROCESSES=1 trains ten times as long. docs/training/multimnist.md says what was run of it.
set -euo pipefail
runs=${1:?usage: multimnist128.sh RUNS_FOLDER [MNIST_FOLDER]}
model=$runs/registry/lwgan-multimnist
scale=${SCALE:-1} processes=${PROCESSES:-2}
stage() { python -m trainers "$@"; }

stage data multimnist --data "$runs/data" --resolution 128 --options layout=slots ${2:+"mnist=$2"}

# Generator and encoder: one after the other, tuned together, brought into one space.
gan=(--data "$runs/data" --processes "$processes")
stage generator "${gan[@]}" --run "$runs/generator" --kimg $((80 * scale)) --checkpoint-kimg 8
nets=("${gan[@]}" --generator "$runs/generator" --tune --gan-every 2 --code-noise 0.1)
stage encoder "${nets[@]}" --run "$runs/tuned" --steps $((2800 * scale)) --code 0 --learning-rate 5e-4
stage align join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
joined="--code 0.1 --norm 0 --mixed 0.1 --ema-kimg 5"
stage encoder "${nets[@]}" --start "$runs/joined" --run "$runs/final" --steps $((1000 * scale)) $joined
stage align match --data "$runs/data" --start "$runs/final" --run "$runs/matched"

# Readers: the selector chooses strengths, the judge measures.
judge="judge labels --data $runs/data --network counts --shift 0 --darken 0.3 --ghosts 0.35"
stage $judge --run "$runs/selector" --seed 2 --steps 800 --widths 24 48 96 --features 96
stage $judge --run "$runs/judge" --seed 1 --steps 1500
stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes" --train 25000
stage judge codes --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64

stage register "$runs/matched/generator" "$model-generator"
stage register "$runs/matched" "$model-encoder"
stage register "$runs/judge" "$model-judge"
stage register "$runs/calibrator" "$model-latent-classifier"
stage sweep "$(dirname "$0")/multimnist128.yaml" --run "$runs"
