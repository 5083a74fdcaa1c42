#!/usr/bin/env bash
# The lines of docs/results/coverage.md, on the nets of multimnist.sh: what kappa buys and what it costs, from
# one start each; the paper's divergence; a perceptual cost. What was measured before is kept.
#   bash trainers/runs/multimnist_coverage.sh ../runs/multimnist
set -euo pipefail
runs=${1:?usage: multimnist_coverage.sh RUNS_FOLDER}
cover() {
    python -m trainers coverage --name "$1" --codes "$runs/codes" --registry "$runs/registry" \
        --report "$runs/results/coverage.md" "${@:2}"
}
same="--starts 1 --rank 4 --steps 140 --learning-rate 0.3 --batch 400"
cover "mean shift" centroids
# With kappa 25 each batch holds all training targets.
for kappa in 1 1.25 1.5 1.75 2 3 25; do cover "kappa $kappa" lw --kappa $kappa --starts 1; done
cover "GeomLoss, scaling 0.9" lw --solver sinkhorn $same
cover "kappa 1, rank 24, batch 800" lw --kappa 1 --rank 24 --batch 800 --starts 1
cover "kappa 2, perceptual cost" lw --starts 1 --perceptor "$runs/selector"
cover "the settings of a place" lw --kappa 4 --skip 0.5 --rank 0 --steps 30 --learning-rate 1 --starts 1
