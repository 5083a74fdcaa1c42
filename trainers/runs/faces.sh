#!/usr/bin/env bash
# Faces, with the paper's settings (Sec. 4.1 and 4.3). Each line resumes what it finds half done.
#   bash trainers/runs/faces.sh RUNS_FOLDER PSP_CHECKPOINT PICTURES LABELS [NAMESPACE]
# PSP_CHECKPOINT: psp_ffhq_encode.pt, pSp's encoder and StyleGAN2's generator of 1024 px in one file. PICTURES: the folder of
# CelebA-HQ's 30,000 pictures. LABELS: CelebAMask-HQ-attribute-anno.txt, or another list of that form. You download all three
# yourself, for research only. NAMESPACE: of the Hub, to push to; without it the cards are written and nothing is pushed.
# SIZE, STEPS, EPOCHS and CASES make a smaller trial: see their defaults below. At the end the models are in RUNS_FOLDER/registry:
# `LWGAN_REGISTRY=RUNS_FOLDER/registry python app.py` shows them.
set -euo pipefail
usage="usage: faces.sh RUNS_FOLDER PSP_CHECKPOINT PICTURES LABELS [NAMESPACE]"
runs=${1:?$usage} checkpoint=${2:?$usage} pictures=${3:?$usage} labels=${4:?$usage} namespace=${5:-}
registry=$runs/registry
stage() { python -m trainers "$@"; }

[ -e "$registry/lwgan-faces-encoder/config.json" ] || stage convert checkpoint --source "$checkpoint" --target "$registry" \
    --domain faces --frame face --title Faces --subject "a face" --licence "other
The weights were trained on FFHQ: CC BY-NC-SA 4.0 and the NVIDIA Source Code License, for non-commercial use only." \
    --about "StyleGAN2 and pSp were trained on FFHQ, 70,000 photographs of faces." \
    --limits "- The models know faces in the frame of FFHQ. Attributes are opinions of annotators and correlate in CelebA."
stage data "celebahq:$pictures" --data "$runs/data" --resolution 256 --options "labels=$labels"
# 72 GMAC and 2 s a picture on a CPU core: 30,000 take most of a day there.
stage codes --data "$runs/data" --encoder "$registry/lwgan-faces-encoder" --run "$runs/codes"
judge="judge codes --codes $runs/codes --epochs ${EPOCHS:-20}"
stage $judge --run "$runs/latent" --seed 1
stage $judge --run "$runs/referee" --seed 2 --hidden 512 256
stage $judge --run "$runs/selector" --seed 3 --hidden 1024 256
stage register "$runs/referee" "$registry/lwgan-faces-latent-classifier"

# Adam at 1e-3, batches as large as memory allows (the paper: the smaller side), lambda 1 and for glasses 15. Masses balance
# "the most common attributes", which the paper does not list: here these three, without the edited one. The blur is ours.
settings="--paper --batch ${SIZE:-4096} --validation-codes ${SIZE:-2048} --steps ${STEPS:-1000}"
for change in Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair Wavy_Hair; do
    lambda=1
    [ $change = Eyeglasses ] && lambda=15
    name=$(echo "$change" | tr 'A-Z_' 'a-z-')
    edit() { [ -e "$runs/$1/config.json" ] || stage edit --codes "$runs/codes" --change $change --run "$runs/$1" --selector "$runs/selector" "${@:2}"; }
    edit "lw-$name" lw $settings --preservation-weight $lambda --classifier "$runs/latent" --masses match --balance Male Young Smiling
    edit "centroids-$name" centroids
    for method in lw centroids; do stage register "$runs/$method-$name" "$registry/lwgan-faces-$method-$name"; done
done
# Without a judge of pictures and an identity network, figures are those of codes alone.
stage evaluate --data "$runs/data" --registry "$registry" --run "$runs/results" --pictures "${CASES:-1000}" --samples "${CASES:-1000}"
stage publish "$registry" --namespace "${namespace:-nobody}" $([ -n "$namespace" ] || echo "--dry-run --target $runs/cards")
