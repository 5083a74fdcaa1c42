#!/usr/bin/env bash
# The domain of letters, from a folder of fonts to measured models. Each line resumes what it finds half done.
#   bash trainers/runs/letters.sh FONTS_FOLDER ../runs/letters
# FONTS_FOLDER: any, such as /usr/share/fonts. At the end the models are in RUNS_FOLDER/registry:
# `LWGAN_REGISTRY=RUNS_FOLDER/registry python app.py` shows them. docs/training/letters.md tells which fonts
# the bundled models saw, and how long each stage takes.
set -euo pipefail
usage="usage: letters.sh FONTS_FOLDER RUNS_FOLDER"
fonts=${1:?$usage} runs=${2:?$usage}
model=$runs/registry/lwgan-letters
processes=${PROCESSES:-$(python -c 'import torch; print(1 if torch.cuda.is_available() else 2)')}
stage() { python -m trainers "$@"; }

stage data "letters:$fonts" --data "$runs/data"

# Generator and encoder: one after the other, tuned together, brought into one space.
gan=(--data "$runs/data" --processes "$processes")
stage generator "${gan[@]}" --run "$runs/generator" --kimg 144 --z-dim 128 --w-dim 128
nets=("${gan[@]}" --generator "$runs/generator" --tune --gan-every 2 --code-noise 0.1)
stage encoder "${nets[@]}" --run "$runs/tuned" --steps 3200 --code 0 --learning-rate 5e-4
stage align join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
stage encoder "${nets[@]}" --start "$runs/joined" --run "$runs/final" --steps 1100 \
    --code 0.1 --norm 0 --mixed 0.1 --ema-kimg 5
stage align match --data "$runs/data" --start "$runs/final" --run "$runs/encoder"

# Readers of pictures. The groups of this data set are the letters: the identity network tells which letter it
# is.
judge=(--data "$runs/data" --shift 2)
stage judge labels "${judge[@]}" --run "$runs/selector" --seed 2 --widths 24 48 96 --features 96 --steps 1000
stage judge labels "${judge[@]}" --run "$runs/judge" --seed 1 --steps 1500
stage judge identity "${judge[@]}" --run "$runs/identity" --features 96 --steps 1200

# Codes, and the classifier of codes that measures.
stage codes --data "$runs/data" --encoder "$runs/encoder" --run "$runs/codes"
stage judge codes --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64

stage register "$runs/encoder/generator" "$model-generator"
stage register "$runs/encoder" "$model-encoder"
stage register "$runs/judge" "$model-judge"
stage register "$runs/identity" "$model-identity"
stage register "$runs/data/samples" "$model-samples"
stage register "$runs/calibrator" "$model-latent-classifier"
# Edits: all that docs/results/letters.md compares. Of them these are bundled.
stage sweep "$(dirname "$0")/letters.yaml" --run "$runs"
for name in bold light italic not-italic serif; do
    for method in lw centroids; do stage register "$runs/edits/$method-$name" "$model-$method-$name"; done
done
stage evaluate --data "$runs/data" --registry "$runs/registry" --run "$runs/results"
