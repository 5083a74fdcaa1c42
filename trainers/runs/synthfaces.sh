#!/usr/bin/env bash
# The domain of rendered faces, from the renderer to measured models. Each line resumes what it finds half
# done. Nothing is downloaded.
#   bash trainers/runs/synthfaces.sh ../runs/faces
# At the end the models are in RUNS_FOLDER/registry. docs/training/synthfaces.md says what each run is for.
set -euo pipefail
runs=${1:?usage: synthfaces.sh RUNS_FOLDER}
model=$runs/registry/lwgan-synthfaces
stage() { python -m trainers "$@"; }

# Pictures: for generator, encoder and edits; for judges, with rare attributes made frequent; of 1,000 people,
# 20 each.
stage data synthfaces --data "$runs/data"
stage data synthfaces --data "$runs/judges" --train 20000 --heldout 2000 --options bias=0 flat=0.5 seed=10
stage data synthfaces --data "$runs/identities" --options identities=1000 each=20 seed=20

# Readers: the perceptor guides the encoder, the selector chooses strengths, the judge and the identity
# network measure.
judge="judge labels --data $runs/judges --mirror"
stage $judge --run "$runs/perceptor" --seed 2 --steps 1500 --widths 32 64 96 --features 96
stage $judge --run "$runs/selector" --seed 3 --steps 1500 --widths 40 56 80 --features 96
stage $judge --run "$runs/judge" --seed 1 --widths 48 64 128
stage judge identity --data "$runs/identities" --run "$runs/identity" --mirror --widths 48 64 128

# Generator and encoder.
gan="--r1 0.5 --instance-noise 0.03"
stage generator --data "$runs/data" --run "$runs/generator" --z-dim 128 --w-dim 128 --kimg 120 $gan
nets="--generator $runs/generator --tune --code-noise 0.1 $gan"
stage encoder --data "$runs/data" $nets --run "$runs/tuned" --steps 3000 \
    --gan-every 2 --code 0 --learning-rate 4e-4
stage align join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
joined="$nets --code 0.1 --norm 0 --mixed 0.1 --ema-kimg 5"
likeness="--perceptor $runs/perceptor --likeness 3 --gan-every 4"
stage encoder --data "$runs/data" --start "$runs/joined" --run "$runs/final" --steps 1800 \
    --gan-every 2 $joined
stage encoder --data "$runs/data" --start "$runs/final" --run "$runs/sharp" --steps 2100 $joined $likeness
stage encoder --data "$runs/judges" --start "$runs/sharp" --run "$runs/flat" --steps 2700 \
    --learning-rate 4e-4 $joined $likeness
stage codes --data "$runs/data" --encoder "$runs/flat" --run "$runs/codes"
stage judge codes --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64

stage register "$runs/flat/generator" "$model-generator"
stage register "$runs/flat" "$model-encoder"
stage register "$runs/judge" "$model-attribute-judge"
stage register "$runs/identity" "$model-identity"
stage register "$runs/data/samples" "$model-samples"
stage register "$runs/calibrator" "$model-latent-classifier"

# Edits: all that docs/results/synthfaces.md compares. Of them these are bundled.
stage sweep "$(dirname "$0")/synthfaces.yaml" --run "$runs"
lw="eyeglasses not-male smiling not-young pale-skin bangs blond-hair"
lw="$lw wavy-hair wearing-hat full-beard long-hair heavy-makeup"
for name in $lw; do stage register "$runs/edits/lw-$name" "$model-lw-$name"; done
for name in eyeglasses not-male smiling not-young; do
    stage register "$runs/edits/lt-$name" "$model-lt-$name"
done
stage evaluate --data "$runs/data" --registry "$runs/registry" --run "$runs/results"
