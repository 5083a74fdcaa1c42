#!/usr/bin/env bash
# Every method and setting of docs/results-faces.md on the nets of synthfaces.sh (which calls this): learned, its alpha chosen. What is there
# already is kept. What the tables need most comes first: stopped early, this leaves whole columns.
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
lw="lw --blur 0.5 --rank 16 --masses overlap"
six="--balance Male Young Wearing_Lipstick Heavy_Makeup Long_Hair No_Beard"
match="lw --blur 0.5 --rank 16 --masses match $six" # six attributes of people, whichever is edited
attributes="Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair" # the paper's, but for Wavy_Hair, which the judge does not read
more="Wearing_Hat Full_Beard Long_Hair Heavy_Makeup"

for attribute in $attributes $more; do
    edit lt $attribute lt $classifier
    edit lt-star $attribute lt $classifier --reconstruction 0 --regularisation 0
    edit lw-star $attribute lw --blur 0.5
    edit interfacegan $attribute interfacegan
done

# What L_pres and the masses bring, shifts and axes.
for attribute in $attributes $more; do
    edit lw-match-l1 $attribute $match --preservation-weight 1 $classifier
    edit centroids $attribute centroids
    edit centroids-overlap $attribute centroids --masses overlap
done
edit lw-match-l1 Wavy_Hair $match --preservation-weight 1 $classifier
for attribute in $attributes; do
    edit lw-overlap-l0 $attribute $lw
    edit lw-l0 $attribute $match
    edit centroids-match $attribute centroids --masses match $six
    for method in ganspace sefa; do edit $method $attribute $method; done
done

# Pictures whose attributes do not correlate: what masses are to undo is not there.
stage data --domain synthfaces --data "$runs/plain" --bias 0 --heldout 2000 --seed 30
codes=codes-plain
encode "$runs/plain"
stage latent-classifier --codes "$runs/$codes" --run "$runs/latent-plain" --seed 1
for attribute in Eyeglasses not-Male not-Young; do
    edit lw-star-plain $attribute lw --blur 0.5
    edit lt-star-plain $attribute lt --classifier "$runs/latent-plain" --reconstruction 0 --regularisation 0
done
codes=codes

# The masses without L_pres and at full rank, as LW*.
for attribute in Eyeglasses not-Male not-Young; do
    for masses in match balanced printed; do edit lw-$masses $attribute lw --blur 0.5 --masses $masses $six; done
done

# Fewer codes, of which a full map could learn pairs by heart.
for n in 1000 3000 10000; do
    codes=codes-$n
    encode "$runs/data" --train $n
    edit lw-star-n$n Eyeglasses lw --blur 0.5
    edit lw-rank-n$n Eyeglasses lw --blur 0.5 --rank 4
    edit lw-decay-n$n Eyeglasses lw --blur 0.5 --decay 1
done
codes=codes

# Lambda of L_pres.
for attribute in Eyeglasses Smiling not-Young; do
    for lambda in 0.3 5; do edit lw-l${lambda/./-} $attribute $match $classifier --preservation-weight $lambda; done
done
for attribute in not-Young not-Male; do edit lw-overlap-l5 $attribute $lw $classifier --preservation-weight 5; done

for attribute in $attributes; do
    for method in steerability guidedstyle random; do edit $method $attribute $method; done
done

# Other seeds of what draws.
for seed in 1 2; do
    for attribute in $attributes; do
        edit lw-overlap-s$seed $attribute $lw --preservation-weight 1 $classifier --seed $seed
        edit lt-s$seed $attribute lt $classifier --seed $seed
        edit lw-star-s$seed $attribute lw --blur 0.5 --seed $seed
        edit lt-star-s$seed $attribute lt $classifier --reconstruction 0 --regularisation 0 --seed $seed
        for method in interfacegan guidedstyle random; do edit $method-s$seed $attribute $method --seed $seed; done
    done
    # Of LW what validation chose elsewhere than above, or would have chosen by the first seed alone.
    edit lw-l0-3-s$seed Eyeglasses $match $classifier --preservation-weight 0.3 --seed $seed
    for attribute in Eyeglasses Smiling; do edit lw-l5-s$seed $attribute $match $classifier --preservation-weight 5 --seed $seed; done
    for attribute in not-Male not-Young; do edit lw-overlap-l5-s$seed $attribute $lw $classifier --preservation-weight 5 --seed $seed; done
    edit lw-match-l1-s$seed Bangs $match $classifier --preservation-weight 1 --seed $seed
    edit lw-overlap-l0-s$seed Blond_Hair $lw --seed $seed
done
