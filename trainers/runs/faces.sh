#!/usr/bin/env bash
# Faces, with the paper's settings (Sec. 4.1 and 4.3): each line resumes what it finds half done.
#   bash trainers/runs/faces.sh RUNS_FOLDER PSP_CHECKPOINT PICTURES LABELS [NAMESPACE]
# PSP_CHECKPOINT: psp_ffhq_encode.pt, pSp's encoder and StyleGAN2's generator of 1024 px in one file.
# PICTURES: the folder of CelebA-HQ's 30,000 pictures, named as in LABELS, CelebAMask-HQ-attribute-anno.txt or another of that form;
#   or a .npy of their codes by that encoder, with a .npy of labels. All of these you download yourself, for research only.
# NAMESPACE: of the Hub, to push to; without it the cards are written and nothing is pushed.
# SIZE, STEPS, EPOCHS and CASES make a smaller trial of it: see their defaults below. At the end RUNS_FOLDER/registry holds the models:
#   `LWGAN_REGISTRY=RUNS_FOLDER/registry python app.py` shows them.
set -euo pipefail
usage="usage: faces.sh RUNS_FOLDER PSP_CHECKPOINT PICTURES LABELS [NAMESPACE]"
runs=${1:?$usage} checkpoint=${2:?$usage} pictures=${3:?$usage} labels=${4:?$usage} namespace=${5:-}
models=$runs/registry
stage() { python -m trainers "$@"; }
keep() { mkdir -p "$2" && cp "$1/config.json" "$1/model.safetensors" "$2/"; }

# 72 GMAC and 2 s a picture on a CPU core: 30,000 take most of a day there.
[ -e "$models/lwgan-faces-encoder/config.json" ] || stage convert --source "$checkpoint" --target "$models"
stage codes --data "$pictures" --labels "$labels" --encoder "$models/lwgan-faces-encoder" --run "$runs/codes"
stage latent-classifier --codes "$runs/codes" --run "$runs/latent-classifier" --seed 1 --epochs "${EPOCHS:-20}"
stage latent-classifier --codes "$runs/codes" --run "$runs/referee" --seed 2 --hidden 512 256 --epochs "${EPOCHS:-20}"
stage latent-classifier --codes "$runs/codes" --run "$runs/selector" --seed 3 --hidden 1024 256 --epochs "${EPOCHS:-20}"

# Adam at 1e-3, batches as large as memory allows (the paper: the smaller side), lambda 1 and for glasses 15; weighed by "the most
# common attributes", which the paper does not list: here these three, without the edited one. The blur is ours (Options of lw say why).
settings="--learning-rate 1e-3 --batch ${SIZE:-4096} --validation-codes ${SIZE:-2048} --steps ${STEPS:-1000}"
for attribute in Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair Wavy_Hair; do
    lambda=1
    [ $attribute = Eyeglasses ] && lambda=15
    name=${attribute,,}
    stage edit --codes "$runs/codes" --attribute $attribute --run "$runs/lw-$name" --selector "$runs/selector" \
        lw $settings --preservation-weight $lambda --classifier "$runs/latent-classifier" --masses match --balance Male Young Smiling
    stage edit --codes "$runs/codes" --attribute $attribute --run "$runs/centroids-$name" --selector "$runs/selector" centroids
    keep "$runs/lw-$name" "$models/lwgan-faces-lw-$name"
    keep "$runs/centroids-$name" "$runs/baselines/lwgan-faces-centroids-$name"
done
# evaluate-labels reads codes, not pictures: the paper's figures need a classifier of pictures and an identity network.
measure() { stage evaluate-labels --codes "$runs/codes" --referee "$runs/referee" --cases "${CASES:-1000}" "$@"; }
measure --registry "$models"
measure --registry "$runs/baselines" --pictures 0
for folder in "$models"/*/; do
    stage publish "$folder" --namespace "${namespace:-nobody}" $([ -n "$namespace" ] || echo --dry-run)
done
