#!/usr/bin/env bash
# Every method and setting of docs/results.md on the nets of multimnist.sh: learned, its alpha chosen, measured. What is there already is kept.
#   bash trainers/runs/multimnist_methods.sh ../runs/multimnist
set -euo pipefail
runs=${1:?usage: multimnist_methods.sh RUNS_FOLDER}
stage() { python -m trainers "$@"; }
keep() { mkdir -p "$2" && cp "$1/config.json" "$1/model.safetensors" "$2/"; }

stage latent-classifier --codes "$runs/codes" --run "$runs/latent" --seed 1
stage latent-classifier --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64
keep "$runs/calibrator" "$runs/registry/lwgan-multimnist-latent-classifier"

# learn NAME METHOD OPTIONS: one edit for each count.
learn() {
    local name=$1; shift
    for edit in 1to2 2to3 3to4; do
        [ -e "$runs/edits/$name-$edit/config.json" ] || stage edit --codes "$runs/codes" --attribute $edit --run "$runs/edits/$name-$edit" \
            --generator "$runs/matched/generator" --selector "$runs/selector" "$@"
    done
}
learn centroids centroids
learn interfacegan interfacegan
learn ganspace ganspace
learn sefa sefa
learn steerability steerability
for seed in 0 1 2; do learn random-s$seed random --seed $seed; done

lt="lt --classifier $runs/latent"
learn lt-r10 $lt
for r in 0 0.1 1; do learn lt-r$r $lt --reconstruction $r; done
learn lt-star $lt --reconstruction 0 --regularisation 0

lw="lw --rank 24 --learning-rate 0.2"
for blur in 0.03 0.01 0.1 0.3 1; do learn lw-b$blur $lw --blur $blur; done
learn lw-full $lw --rank None --learning-rate 0.1 --blur 0.05
learn lw-slow lw --learning-rate 1e-3 --steps 300
learn lw-pres $lw --blur 0.03 --preservation-weight 1 --classifier "$runs/latent"
learn guidedstyle guidedstyle

for seed in 1 2; do
    learn lw-b0.03-s$seed $lw --blur 0.03 --seed $seed
    learn lt-r10-s$seed $lt --seed $seed
    learn lt-r${LT_BEST:-0.1}-s$seed $lt --reconstruction ${LT_BEST:-0.1} --seed $seed
    learn lt-star-s$seed $lt --reconstruction 0 --regularisation 0 --seed $seed
    learn guidedstyle-s$seed guidedstyle --seed $seed
    learn interfacegan-s$seed interfacegan --seed $seed
done
stage evaluate --data "$runs/data" --registry "$runs/registry" --edits "$runs/edits" --docs "$runs/docs"
