#!/usr/bin/env bash
# Every method and setting of docs/results/multimnist.md, on the nets of multimnist.sh: learned, strength chosen, measured. Edits
# that exist are kept.
#   bash trainers/runs/multimnist_methods.sh ../runs/multimnist
set -euo pipefail
runs=${1:?usage: multimnist_methods.sh RUNS_FOLDER}
stage() { python -m trainers "$@"; }
codes=codes layers=
sinkhorn="lw --paper --rank 24 --batch 800 --validate-every 5" # Eq. 4; plain lw is partial transport
mkdir -p "$runs/methods" && cp -R "$runs"/registry/lwgan-multimnist-{generator,encoder,judge,latent-classifier} "$runs/methods/"

# edit NAME CHANGE METHOD OPTIONS, on the codes of $codes, of the first $layers layers
edit() {
    local run="$runs/edits/$1-$2"
    [ -e "$run/config.json" ] || stage edit --codes "$runs/$codes" --change "$2" --run "$run" \
        --generator "$runs/matched/generator" --selector "$runs/selector" ${layers:+--layers $layers} "${@:3}"
    stage register "$run" "$runs/methods/lwgan-multimnist-$1-$2"
}
all() { for change in 1to2 2to3 3to4; do edit "$1" $change "${@:2}"; done; }
lt() { all "$1" lt --classifier "$runs/latent" "${@:2}"; }
lw() {
    edit "$1" 1to2 $sinkhorn --steps 100 --learning-rate 0.2 "${@:2}"
    edit "$1" 2to3 $sinkhorn --steps 140 --learning-rate 0.3 "${@:2}"
    edit "$1" 3to4 $sinkhorn --steps 100 --learning-rate 0.2 "${@:2}"
}

stage judge codes --codes "$runs/codes" --run "$runs/latent" --seed 1
for method in centroids ganspace sefa steerability; do all $method $method; done
all centroids-balanced centroids --masses balanced --balance 0 1 2
for masses in match balanced; do lw lw-$masses --blur 0.03 --masses $masses --balance 0 1 2; done
for seed in 0 1 2; do
    all interfacegan-s$seed interfacegan --seed $seed
    all random-s$seed random --seed $seed
    all guided-s$seed guided --seed $seed
    lw lw-s$seed --blur 0.03 --seed $seed
    lt lt-s$seed --seed $seed
    lt lt-r0-s$seed --reconstruction 0 --seed $seed
    lt lt-star-s$seed --reconstruction 0 --regularisation 0 --seed $seed
    for r in 0.1 1; do lt lt-r${r/./-}-s$seed --reconstruction $r --seed $seed; done # a model's name has no dot
done
for blur in 0.01 0.1 0.3 1; do lw lw-b${blur/./-} --blur $blur; done
for seed in 1 2; do edit lw-b0-3-s$seed 3to4 $sinkhorn --steps 100 --learning-rate 0.2 --blur 0.3 --seed $seed; done
lw lw-pres --blur 0.03 --preservation-weight 1 --classifier "$runs/latent"
all lw-paper lw --paper
layers=6
all centroids-l6 centroids
lw lw-l6 --blur 0.03
layers=
for kappa in 1 1.25 1.5 1.75 2 3 10; do all lw-kappa${kappa/./-} lw --kappa $kappa; done # 10: nearly the nearest targets
for seed in 10 20; do all lw-kappa2-s$seed lw --seed $seed; done
[ -e "$runs/codes100/test.safetensors" ] || stage codes --data "$runs/data" --encoder "$runs/matched" --run "$runs/codes100" --train 100000
codes=codes100
edit lw-100k 2to3 $sinkhorn --blur 0.03 --steps 140 --learning-rate 0.3
stage evaluate --data "$runs/data" --registry "$runs/methods" --run "$runs/results"
