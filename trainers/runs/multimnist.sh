#!/usr/bin/env bash
# The domain of digits, from MNIST to measured models. Each line resumes what it finds half done.
#   bash trainers/runs/multimnist.sh ../runs/multimnist [MNIST_FOLDER]
# MNIST_FOLDER: its four IDX files; by default MNIST comes from the Hub. At the end the models are in
# RUNS_FOLDER/registry: `LWGAN_REGISTRY=RUNS_FOLDER/registry python app.py` shows them. The methods that LW is
# compared with: multimnist.yaml.
set -euo pipefail
runs=${1:?usage: multimnist.sh RUNS_FOLDER [MNIST_FOLDER]}
model=$runs/registry/lwgan-multimnist
stage() { python -m trainers "$@"; }

stage data multimnist --data "$runs/data" ${2:+--options "mnist=$2"}
judge="judge labels --data $runs/data --network counts --shift 0 --darken 0.3 --ghosts 0.35"
stage $judge --run "$runs/selector" --seed 2 --steps 800 --widths 24 48 96 --features 96
stage $judge --run "$runs/judge" --seed 1 --steps 1500
stage generator --data "$runs/data" --run "$runs/generator" --kimg 144
nets="--data $runs/data --generator $runs/generator --tune"
stage encoder $nets --run "$runs/warm" --steps 1000
alone="--code 0 --code-noise 0.1 --learning-rate 5e-4"
stage encoder $nets --start "$runs/warm" --run "$runs/tuned" --steps 4800 --gan-every 2 $alone
stage encoder $nets --start "$runs/tuned" --run "$runs/mixed" --steps 1200 --mixed 0.5 $alone
stage align join --data "$runs/data" --start "$runs/mixed" --run "$runs/joined"
joined="--batch 16 --gan-batch 64 --ema-kimg 5 --code 0.1 --norm 0 --code-noise 0.1"
stage encoder $nets --start "$runs/joined" --run "$runs/final" --steps 2000 $joined
stage encoder $nets --start "$runs/final" --run "$runs/long" --steps 1600 $joined --mixed 0.5
stage encoder $nets --start "$runs/long" --run "$runs/settle" --steps 3700 $joined --mixed 0.1
stage align match --data "$runs/data" --start "$runs/settle" --run "$runs/matched"
stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes"
stage judge codes --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64

stage register "$runs/matched/generator" "$model-generator"
stage register "$runs/matched" "$model-encoder"
stage register "$runs/judge" "$model-judge"
stage register "$runs/data/samples" "$model-samples"
stage register "$runs/calibrator" "$model-latent-classifier"
# edit NAME CHANGE OPTIONS of lw
edit() {
    [ -e "$runs/$1-$2/config.json" ] || stage edit --codes "$runs/codes" --change $2 --run "$runs/$1-$2" \
        --generator "$runs/matched/generator" --selector "$runs/selector" lw "${@:3}"
    stage register "$runs/$1-$2" "$model-$1-$2"
}
# Partial transport, and the paper's loss. Of the seeds of multimnist.yaml those that validation chose.
edit lw 1to2 --seed 0
edit lw 2to3 --seed 0
edit lw 3to4 --seed 10
sinkhorn="--paper --rank 24 --batch 800 --validate-every 5"
edit lw-sinkhorn 1to2 $sinkhorn --blur 0.03 --steps 100 --learning-rate 0.2 --seed 1
edit lw-sinkhorn 2to3 $sinkhorn --blur 0.03 --steps 140 --learning-rate 0.3 --seed 1
edit lw-sinkhorn 3to4 $sinkhorn --blur 0.3 --steps 100 --learning-rate 0.2
stage evaluate --data "$runs/data" --registry "$runs/registry" --run "$runs/results"
