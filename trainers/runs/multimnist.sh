#!/usr/bin/env bash
# The digits domain, whole: each line resumes what it finds half done. MNIST from a folder of its IDX files, or from the Hub.
#   bash trainers/runs/multimnist.sh ../runs/multimnist [MNIST_FOLDER]
# At the end the models lie in RUNS_FOLDER/registry, measured: `LWGAN_REGISTRY=RUNS_FOLDER/registry python app.py` shows them.
# The methods that LW is compared with: multimnist_methods.sh, afterwards.
set -euo pipefail
runs=${1:?usage: multimnist.sh RUNS_FOLDER [MNIST_FOLDER]}
mnist=${2:+--mnist $2}
stage() { python -m trainers "$@"; }
keep() { mkdir -p "$2" && cp "$1/config.json" "$1/model.safetensors" "$2/"; }

stage data --data "$runs/data" $mnist
stage classifiers --data "$runs/data" --run "$runs/selector" --seed 2 --steps 800 --widths 24 48 96 --features 96
stage classifiers --data "$runs/data" --run "$runs/judge" --seed 1 --steps 1500
stage generator --data "$runs/data" --run "$runs/generator" --kimg 144
nets="--data $runs/data --generator $runs/generator"
stage encoder $nets --tune --run "$runs/warm" --steps 1000
stage encoder $nets --start "$runs/warm" --tune --run "$runs/tuned" --steps 4800 --gan-every 2 --code 0 --code-noise 0.1 --learning-rate 5e-4
stage encoder $nets --start "$runs/tuned" --tune --run "$runs/mixed" --steps 1200 --code 0 --code-noise 0.1 --learning-rate 5e-4 --mixed 0.5
stage join --data "$runs/data" --start "$runs/mixed" --run "$runs/joined"
joined="--tune --batch 16 --gan-batch 64 --ema-kimg 5 --code 0.1 --norm 0 --code-noise 0.1"
stage encoder $nets --start "$runs/joined" --run "$runs/final" --steps 2000 $joined
stage encoder $nets --start "$runs/final" --run "$runs/long" --steps 1600 $joined --mixed 0.5
stage encoder $nets --start "$runs/long" --run "$runs/settle" --steps 3700 $joined --mixed 0.1
stage match --data "$runs/data" --start "$runs/settle" --run "$runs/matched"
stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes"

keep "$runs/matched/generator" "$runs/registry/lwgan-multimnist-generator"
keep "$runs/matched" "$runs/registry/lwgan-multimnist-encoder"
keep "$runs/judge" "$runs/registry/lwgan-multimnist-judge"
keep "$runs/data/samples" "$runs/registry/lwgan-multimnist-samples"
stage latent-classifier --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64
keep "$runs/calibrator" "$runs/registry/lwgan-multimnist-latent-classifier"
choose="--generator $runs/matched/generator --selector $runs/selector"
for edit in 1to2 2to3 3to4; do
    case $edit in
        1to2) settings="--blur 0.03 --learning-rate 0.2" ;;
        2to3) settings="--blur 0.03 --learning-rate 0.3 --steps 140" ;;
        3to4) settings="--blur 0.3 --learning-rate 0.2" ;;
    esac
    stage edit --codes "$runs/codes" --attribute $edit --run "$runs/lw-$edit" $choose lw --rank 24 $settings
    keep "$runs/lw-$edit" "$runs/registry/lwgan-multimnist-lw-$edit"
done
stage evaluate --data "$runs/data" --registry "$runs/registry" --docs "$runs/docs"
