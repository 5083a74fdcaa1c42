#!/usr/bin/env bash
# Every method and setting of docs/results/synthfaces.md, on the nets of synthfaces.sh (which calls this): learned, strength chosen,
# measured. Edits that exist are kept. What the tables need most comes first, so a run that is stopped early leaves whole columns.
#   bash trainers/runs/synthfaces_methods.sh ../runs/faces
set -euo pipefail
runs=${1:?usage: synthfaces_methods.sh RUNS_FOLDER}
codes=codes
stage() { python -m trainers "$@"; }

mkdir -p "$runs/methods" && cp -R "$runs"/registry/lwgan-synthfaces-{generator,encoder,attribute-judge,identity,latent-classifier} "$runs/methods/"

# edit NAME CHANGE METHOD OPTIONS, on the codes of $codes
edit() {
    local edit="$1-$(echo "$2" | tr 'A-Z_' 'a-z-')"
    [ -e "$runs/edits/$edit/config.json" ] || stage edit --codes "$runs/$codes" --change "$2" --run "$runs/edits/$edit" \
        --generator "$runs/flat/generator" --selector "$runs/selector" "${@:3}"
    stage register "$runs/edits/$edit" "$runs/methods/lwgan-synthfaces-$edit"
}
encode() { [ -e "$runs/$codes/test.safetensors" ] || stage codes --data "$1" --encoder "$runs/flat" --run "$runs/$codes" "${@:2}"; }

classifier="--classifier $runs/latent"
sinkhorn="lw --paper --blur 0.5 --steps 100 --learning-rate 0.02 --batch 800 --validate-every 5" # Eq. 4; plain lw is partial transport
lw="$sinkhorn --rank 16 --masses overlap"
six="--balance Male Young Wearing_Lipstick Heavy_Makeup Long_Hair No_Beard"
match="$sinkhorn --rank 16 --masses match $six" # six attributes, whichever is edited
changes="Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair" # the paper's without Wavy_Hair, which the judge does not read
more="Wearing_Hat Full_Beard Long_Hair Heavy_Makeup"

for change in $changes $more; do
    edit lt $change lt $classifier
    edit lt-star $change lt $classifier --reconstruction 0 --regularisation 0
    edit lw-star $change $sinkhorn
    edit lw-partial $change lw
    edit interfacegan $change interfacegan
done

# What L_pres and the masses bring; shifts and axes.
for change in $changes $more; do
    edit lw-match-l1 $change $match --preservation-weight 1 $classifier
    edit centroids $change centroids
    edit centroids-overlap $change centroids --masses overlap
done
edit lw-match-l1 Wavy_Hair $match --preservation-weight 1 $classifier
for change in $changes; do
    edit lw-overlap-l0 $change $lw
    edit lw-l0 $change $match
    edit centroids-match $change centroids --masses match $six
    for method in ganspace sefa; do edit $method $change $method; done
done

# Pictures whose attributes do not correlate: masses have nothing to undo.
stage data synthfaces --data "$runs/plain" --heldout 2000 --options bias=0 seed=30
codes=codes-plain
encode "$runs/plain"
stage judge codes --codes "$runs/$codes" --run "$runs/latent-plain" --seed 1
for change in Eyeglasses not-Male not-Young; do
    edit lw-star-plain $change $sinkhorn
    edit lt-star-plain $change lt --classifier "$runs/latent-plain" --reconstruction 0 --regularisation 0
done
codes=codes

# The masses without L_pres and at full rank, as LW*.
for change in Eyeglasses not-Male not-Young; do
    for masses in match balanced printed; do edit lw-$masses $change $sinkhorn --masses $masses $six; done
done

# Fewer codes: a full map could learn pairs by heart.
for n in 1000 3000 10000; do
    codes=codes-$n
    encode "$runs/data" --train $n
    edit lw-star-n$n Eyeglasses $sinkhorn
    edit lw-rank-n$n Eyeglasses $sinkhorn --rank 4
    edit lw-decay-n$n Eyeglasses $sinkhorn --decay 1
done
codes=codes

# Lambda of L_pres.
for change in Eyeglasses Smiling not-Young; do
    for lambda in 0.3 5; do edit lw-l${lambda/./-} $change $match $classifier --preservation-weight $lambda; done
done
for change in not-Young not-Male; do edit lw-overlap-l5 $change $lw $classifier --preservation-weight 5; done

for change in $changes; do
    for method in steerability guided random; do edit $method $change $method; done
done

# Other seeds of what draws.
for seed in 1 2; do
    for change in $changes; do
        edit lw-overlap-s$seed $change $lw --preservation-weight 1 $classifier --seed $seed
        edit lt-s$seed $change lt $classifier --seed $seed
        edit lw-star-s$seed $change $sinkhorn --seed $seed
        edit lt-star-s$seed $change lt $classifier --reconstruction 0 --regularisation 0 --seed $seed
        for method in interfacegan guided random; do edit $method-s$seed $change $method --seed $seed; done
    done
    # LW with what validation chose elsewhere than above, or would have chosen by the first seed alone.
    edit lw-l0-3-s$seed Eyeglasses $match $classifier --preservation-weight 0.3 --seed $seed
    for change in Eyeglasses Smiling; do edit lw-l5-s$seed $change $match $classifier --preservation-weight 5 --seed $seed; done
    for change in not-Male not-Young; do edit lw-overlap-l5-s$seed $change $lw $classifier --preservation-weight 5 --seed $seed; done
    edit lw-match-l1-s$seed Bangs $match $classifier --preservation-weight 1 --seed $seed
    edit lw-overlap-l0-s$seed Blond_Hair $lw --seed $seed
done
stage evaluate --data "$runs/data" --registry "$runs/methods" --run "$runs/results"
