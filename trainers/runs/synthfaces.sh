#!/usr/bin/env bash
# The domain of rendered faces: pictures, judges, generator and encoder, codes, twelve edits by LW, the methods they are compared with. Each line
# resumes what it finds half done. At the end the models lie in RUNS_FOLDER/registry, measured. Nothing is downloaded. docs/training-faces.md says what each run is for.
#   bash trainers/runs/synthfaces.sh ../runs/faces
set -euo pipefail
runs=${1:?usage: synthfaces.sh RUNS_FOLDER}
stage() { python -m trainers "$@"; }
keep() { mkdir -p "$2" && cp "$1/config.json" "$1/model.safetensors" "$2/"; }

# Pictures: for generator, encoder and edits; for judges, rare attributes made common; of 1,000 people, 20 each.
stage data --domain synthfaces --data "$runs/data"
stage data --domain synthfaces --data "$runs/judges" --bias 0 --flat 0.5 --train 20000 --heldout 2000 --seed 10
stage data --domain synthfaces --data "$runs/identities" --identities 1000 --each 20 --seed 20

# Who looks: the perceptor guides the encoder, the selector chooses strengths, the judge and the identity network measure.
judge="attribute-judge --data $runs/judges --also $runs/data"
stage $judge --run "$runs/perceptor" --seed 2 --steps 1500 --widths 32 64 96 --features 96
stage $judge --run "$runs/selector" --seed 3 --steps 1500 --widths 40 56 80 --features 96
stage $judge --run "$runs/judge" --seed 1
stage identity --data "$runs/identities" --run "$runs/identity"

# Nets.
gan="--r1 0.5 --instance-noise 0.03"
stage generator --data "$runs/data" --run "$runs/generator" --z-dim 128 --w-dim 128 --kimg 120 $gan
stage encoder --data "$runs/data" --generator "$runs/generator" --tune --run "$runs/tuned" --steps 3000 --gan-every 2 \
    --code 0 --code-noise 0.1 --learning-rate 4e-4 $gan
stage join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
joined="--generator $runs/generator --tune --code 0.1 --norm 0 --code-noise 0.1 --mixed 0.1 --ema-kimg 5 $gan"
likeness="--perceptor $runs/perceptor --likeness 3 --gan-every 4"
stage encoder --data "$runs/data" --start "$runs/joined" --run "$runs/final" --steps 1800 --gan-every 2 $joined
stage encoder --data "$runs/data" --start "$runs/final" --run "$runs/sharp" --steps 2100 $joined $likeness
stage encoder --data "$runs/judges" --start "$runs/sharp" --run "$runs/flat" --steps 2700 --learning-rate 4e-4 $joined $likeness
stage codes --data "$runs/data" --encoder "$runs/flat" --run "$runs/codes"

keep "$runs/flat/generator" "$runs/registry/lwgan-synthfaces-generator"
keep "$runs/flat" "$runs/registry/lwgan-synthfaces-encoder"
keep "$runs/judge" "$runs/registry/lwgan-synthfaces-attribute-judge"
keep "$runs/identity" "$runs/registry/lwgan-synthfaces-identity"
keep "$runs/data/samples" "$runs/registry/lwgan-synthfaces-samples"
stage latent-classifier --codes "$runs/codes" --run "$runs/calibrator" --seed 2 --hidden 256 64
keep "$runs/calibrator" "$runs/registry/lwgan-synthfaces-latent-classifier"

# Edits: between people with and without an attribute who are alike otherwise (masses), and the rest as another classifier of codes reads it (L_pres).
stage latent-classifier --codes "$runs/codes" --run "$runs/latent" --seed 1
for attribute in Eyeglasses not-Male Smiling not-Young Pale_Skin Bangs Blond_Hair Wavy_Hair Wearing_Hat Full_Beard Long_Hair Heavy_Makeup; do
    name=$(echo "$attribute" | tr 'A-Z_' 'a-z-')
    stage edit --codes "$runs/codes" --attribute "$attribute" --run "$runs/edits/lw-$name" --generator "$runs/flat/generator" --selector "$runs/selector" \
        lw --blur 0.5 --rank 16 --masses overlap --preservation-weight 1 --classifier "$runs/latent"
    keep "$runs/edits/lw-$name" "$runs/registry/lwgan-synthfaces-lw-$name"
done
bash "$(dirname "$0")/synthfaces_methods.sh" "$runs"
for name in eyeglasses not-male smiling not-young; do keep "$runs/edits/lt-$name" "$runs/registry/lwgan-synthfaces-lt-$name"; done
stage evaluate --domain synthfaces --data "$runs/data" --registry "$runs/registry" --edits "$runs/edits" --docs "$runs/docs"
