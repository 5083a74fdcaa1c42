#!/usr/bin/env bash
# Faces, with the paper's settings (Sec. 4.1 and 4.3). Each line resumes what it finds half done.
#   bash trainers/runs/faces.sh RUNS_FOLDER [DATASET [NAMESPACE]]
# Without DATASET the generator draws SAMPLES pictures and the judge labels them. DATASET: celebahq:FOLDER
# (the pictures of CelebA-HQ) or hf:org/name; OPTIONS="labels=CelebAMask-HQ-attribute-anno.txt" names the
# list. NAMESPACE: of the Hub, to push edits to; without it the cards are written and nothing is pushed.
# PICTURES: a folder of photographs in FFHQ's frame to measure on, as the paper does; by default test pictures
# of DATASET. TABLE: other edits than those of faces.yaml. The networks are fetched first, for research only:
# `python -m trainers faces --help`. At the end `LWGAN_REGISTRY=RUNS_FOLDER/registry lwgan app` shows the
# edits.
set -euo pipefail
runs=${1:?usage: faces.sh RUNS_FOLDER [DATASET [NAMESPACE]]} dataset=${2:-} namespace=${3:-}
registry=$runs/registry samples=${SAMPLES:-10000}
generator=$registry/lwgan-faces-generator encoder=$registry/lwgan-faces-encoder
judge=$registry/lwgan-faces-judge
stage() { python -m trainers "$@"; }

[ -e "$encoder/config.json" ] || stage faces --run "$runs"
# Of sampled pictures a tenth each is kept for validation and test. Labels that do not fit are refused.
if [ -z "$dataset" ]; then
    stage data "sampled:$generator?judge=$judge" --data "$runs/data" --resolution 256 \
        --train $((samples * 8 / 10)) --heldout "${HELDOUT:-$((samples / 10))}"
else
    stage data "$dataset" --data "$runs/data" --resolution 256 --check-labels "$judge" \
        ${OPTIONS:+--options $OPTIONS}
fi
if [ -n "${PICTURES:-}" ]; then
    [ ! -L "$runs/test" ] || rm "$runs/test"
    stage data "celebahq:$PICTURES" --data "$runs/test" --resolution 256 --train 1 --heldout 1000 \
        --options "judge=$judge"
elif [ ! -e "$runs/test" ]; then
    mkdir -p "$runs" && ln -sfn data "$runs/test"
fi
# 72 GMAC and 2 s a picture on a CPU core: 10,000 take hours there, on a GPU minutes.
stage codes --data "$runs/data" --encoder "$encoder" --run "$runs/codes"
# The edits. Target change and others kept are read by the judge, identity by IR-SE50.
stage sweep "${TABLE:-$(dirname "$0")/faces.yaml}" --run "$runs"
if [ -n "$namespace" ]; then
    stage publish "$registry" --namespace "$namespace"
else
    stage publish "$registry" --namespace nobody --dry-run --target "$runs/cards"
fi
