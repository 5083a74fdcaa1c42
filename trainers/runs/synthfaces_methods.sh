#!/usr/bin/env bash
# Every method and setting of docs/results-faces.md on the nets of synthfaces.sh (which calls this): learned, its alpha chosen. What is there
# already is kept.
#   bash trainers/runs/synthfaces_methods.sh ../runs/faces
set -euo pipefail
runs=${1:?usage: synthfaces_methods.sh RUNS_FOLDER}
codes=codes
stage() { python -m trainers "$@"; }

# edit NAME ATTRIBUTE METHOD OPTIONS, on the codes of $codes
edit() {
    local run="$runs/edits/$1-$(echo "$2" | tr 'A-Z_' 'a-z-')" attribute=$2
    [ -e "$run/config.json" ] || stage edit --codes "$runs/$codes" --attribute "$attribute" --run "$run" \
        --generator "$runs/flat/generator" --selector "$runs/selector" "${@:3}"
}
encode() { [ -e "$runs/$codes/test.safetensors" ] || stage codes --data "$1" --encoder "$runs/flat" --run "$runs/$codes" "${@:2}"; }

classifier="--classifier $runs/latent"
match="--masses match --balance Male Young Wearing_Lipstick Heavy_Makeup Long_Hair No_Beard"
for attribute in Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair; do
    edit lt $attribute lt $classifier
    edit lt-star $attribute lt $classifier --reconstruction 0 --regularisation 0
    edit lw-star $attribute lw --blur 0.5
    edit centroids-match $attribute centroids $match
    for method in centroids interfacegan ganspace sefa steerability random; do edit $method $attribute $method; done
done

# The masses without L_pres, and pictures whose attributes do not correlate.
for attribute in Eyeglasses Blond_Hair not-Young; do
    for masses in match balanced printed; do edit lw-$masses $attribute lw --blur 0.5 ${match/match/$masses}; done
done
stage data --domain synthfaces --data "$runs/plain" --bias 0 --heldout 2000 --seed 30
codes=codes-plain
encode "$runs/plain"
for attribute in Eyeglasses not-Young Blond_Hair; do edit lw-plain $attribute lw --blur 0.5; done
