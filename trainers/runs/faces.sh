#!/usr/bin/env bash
# Faces, with the paper's settings (Sec. 4.1 and 4.3). Each line resumes what it finds half done.
#   bash trainers/runs/faces.sh RUNS_FOLDER [DATASET [NAMESPACE]]
# Without DATASET the generator draws SAMPLES pictures and the judge labels them. DATASET: celebahq:FOLDER, CelebA-HQ's pictures,
# or hf:org/name; OPTIONS="labels=CelebAMask-HQ-attribute-anno.txt" names the list. NAMESPACE: of the Hub, to push edits to;
# without it the cards are written and nothing is pushed. The networks are fetched first, for research only: `python -m trainers
# faces --help`. SAMPLES, HELDOUT, SIZE, STEPS, EPOCHS, CASES and CHANGES make a smaller trial: see their defaults below. At
# the end `LWGAN_REGISTRY=RUNS_FOLDER/registry lwgan app` shows the edits.
set -euo pipefail
runs=${1:?usage: faces.sh RUNS_FOLDER [DATASET [NAMESPACE]]} dataset=${2:-} namespace=${3:-}
registry=$runs/registry samples=${SAMPLES:-10000}
generator=$registry/lwgan-faces-generator judge=$registry/lwgan-faces-judge encoder=$registry/lwgan-faces-encoder
stage() { python -m trainers "$@"; }

[ -e "$encoder/config.json" ] || stage faces --run "$runs"
# Of sampled pictures a tenth each is kept for validation and test. Labels that do not fit the pictures are refused.
if [ -z "$dataset" ]; then
    stage data "sampled:$generator?judge=$judge" --data "$runs/data" --resolution 256 \
        --train $((samples * 8 / 10)) --heldout "${HELDOUT:-$((samples / 10))}"
else
    stage data "$dataset" --data "$runs/data" --resolution 256 --check-labels "$judge" ${OPTIONS:+--options $OPTIONS}
fi
# 72 GMAC and 2 s a picture on a CPU core: 10,000 take hours there, on a GPU minutes.
stage codes --data "$runs/data" --encoder "$encoder" --run "$runs/codes"
read="judge codes --codes $runs/codes --epochs ${EPOCHS:-20}"
stage $read --run "$runs/latent" --seed 1
stage $read --run "$runs/referee" --seed 2 --hidden 512 256
stage $read --run "$runs/selector" --seed 3 --hidden 1024 256
stage register "$runs/referee" "$registry/lwgan-faces-latent-classifier"

# Adam at 1e-3, batches as large as memory allows (the paper: the smaller side), lambda 1 and for glasses 15. Masses balance
# "the most common attributes", which the paper does not list: here these three, without the edited one. The blur is ours.
settings="--paper --batch ${SIZE:-4096} --validation-codes ${SIZE:-2048} --steps ${STEPS:-1000}"
for change in ${CHANGES:-Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair Wavy_Hair}; do
    lambda=1
    [ $change = Eyeglasses ] && lambda=15
    name=$(echo "$change" | tr 'A-Z_' 'a-z-')
    edit() { [ -e "$runs/$1/config.json" ] || stage edit --codes "$runs/codes" --change $change --run "$runs/$1" --selector "$runs/selector" "${@:2}"; }
    edit "lw-$name" lw $settings --preservation-weight $lambda --classifier "$runs/latent" --masses match --balance Male Young Smiling
    edit "centroids-$name" centroids
    for method in lw centroids; do stage register "$runs/$method-$name" "$registry/lwgan-faces-$method-$name"; done
done
# Table 1 and Figs. 3-5: target change and others kept by the judge, identity by IR-SE50, on 1,000 test pictures.
stage evaluate --data "$runs/data" --registry "$registry" --run "$runs/results" --pictures "${CASES:-1000}" \
    --heldout "${CASES:-1000}" --samples "${CASES:-1000}"
stage publish "$registry" --namespace "${namespace:-nobody}" $([ -n "$namespace" ] || echo "--dry-run --target $runs/cards")
