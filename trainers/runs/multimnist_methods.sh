#!/usr/bin/env bash
# Every method and setting of docs/results.md on the nets of multimnist.sh: learned, its alpha chosen, measured. What is there already is kept.
#   bash trainers/runs/multimnist_methods.sh ../runs/multimnist
set -euo pipefail
runs=${1:?usage: multimnist_methods.sh RUNS_FOLDER}
stage() { python -m trainers "$@"; }

# edit NAME ATTRIBUTE METHOD OPTIONS
edit() {
    local run="$runs/edits/$1-$2" attribute=$2
    [ -e "$run/config.json" ] || stage edit --codes "$runs/codes" --attribute "$attribute" --run "$run" \
        --generator "$runs/matched/generator" --selector "$runs/selector" "${@:3}"
}
all() { for attribute in 1to2 2to3 3to4; do edit "$1" $attribute "${@:2}"; done; }
lt() { all "$1" lt --classifier "$runs/latent" "${@:2}"; }
lw() {
    edit "$1" 1to2 lw --rank 24 --learning-rate 0.2 "${@:2}"
    edit "$1" 2to3 lw --rank 24 --learning-rate 0.3 --steps 140 "${@:2}"
    edit "$1" 3to4 lw --rank 24 --learning-rate 0.2 "${@:2}"
}

stage latent-classifier --codes "$runs/codes" --run "$runs/latent" --seed 1
for method in centroids ganspace sefa steerability; do all $method $method; done
all centroids-balanced centroids --masses balanced --balance 0 1 2
for masses in match balanced; do lw lw-$masses --blur 0.03 --masses $masses --balance 0 1 2; done
for seed in 0 1 2; do
    all interfacegan-s$seed interfacegan --seed $seed
    all random-s$seed random --seed $seed
    all guidedstyle-s$seed guidedstyle --seed $seed
    lw lw-s$seed --blur 0.03 --seed $seed
    lt lt-s$seed --seed $seed
    lt lt-r0-s$seed --reconstruction 0 --seed $seed
    lt lt-star-s$seed --reconstruction 0 --regularisation 0 --seed $seed
    for r in 0.1 1; do lt lt-r${r/./-}-s$seed --reconstruction $r --seed $seed; done # a model's name has no dot
done
for blur in 0.01 0.1 0.3 1; do lw lw-b${blur/./-} --blur $blur; done
for seed in 1 2; do edit lw-b0-3-s$seed 3to4 lw --rank 24 --learning-rate 0.2 --blur 0.3 --seed $seed; done
lw lw-pres --blur 0.03 --preservation-weight 1 --classifier "$runs/latent"
all lw-paper-step lw --learning-rate 1e-3 --steps 300
cut="--layers 6"
for attribute in 1to2 2to3 3to4; do edit centroids-l6 $attribute $cut centroids; done
edit lw-l6 1to2 $cut lw --rank 24 --blur 0.03 --learning-rate 0.2
edit lw-l6 2to3 $cut lw --rank 24 --blur 0.03 --learning-rate 0.3 --steps 140
edit lw-l6 3to4 $cut lw --rank 24 --blur 0.03 --learning-rate 0.2
[ -e "$runs/codes100/test.safetensors" ] || stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes100" --train 100000
[ -e "$runs/edits/lw-100k-2to3/config.json" ] || stage edit --codes "$runs/codes100" --attribute 2to3 --run "$runs/edits/lw-100k-2to3" \
    --generator "$runs/matched/generator" --selector "$runs/selector" lw --rank 24 --blur 0.03 --learning-rate 0.3 --steps 140
stage evaluate --data "$runs/data" --registry "$runs/registry" --edits "$runs/edits" --docs "$runs/docs"
