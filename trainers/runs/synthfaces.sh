#!/usr/bin/env bash
# The domain of rendered faces, as far as it was run: pictures, judges, generator and encoder. Each line resumes what it finds half done. Nothing is
# downloaded. The edits are not in it yet.
#   bash trainers/runs/synthfaces.sh ../runs/faces
set -euo pipefail
runs=${1:?usage: synthfaces.sh RUNS_FOLDER}
stage() { python -m trainers "$@"; }

# Pictures: for generator, encoder and edits; for judges, rare attributes made common; of 1,000 people, 20 each.
stage data --domain synthfaces --data "$runs/data"
stage data --domain synthfaces --data "$runs/judges" --bias 0 --flat 0.5 --train 20000 --heldout 2000 --seed 10
stage data --domain synthfaces --data "$runs/identities" --identities 1000 --each 20 --seed 20

# Who looks: the selector chooses strengths, the judge and the identity network measure.
stage attribute-judge --data "$runs/judges" --also "$runs/data" --run "$runs/selector" --seed 2 --steps 1500 --widths 32 64 96 --features 96
stage attribute-judge --data "$runs/judges" --also "$runs/data" --run "$runs/judge" --seed 1
stage identity --data "$runs/identities" --run "$runs/identity"

# Nets.
gan="--r1 0.5 --instance-noise 0.03"
stage generator --data "$runs/data" --run "$runs/generator" --z-dim 128 --w-dim 128 --kimg 120 $gan
nets="--data $runs/data --generator $runs/generator --tune --code 0 --code-noise 0.1 --learning-rate 4e-4 $gan"
stage encoder $nets --run "$runs/tuned" --steps 3000 --gan-every 2
stage join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
joined="--tune --code 0.1 --norm 0 --code-noise 0.1 --gan-every 2 --mixed 0.1 --ema-kimg 5 $gan"
stage encoder --data "$runs/data" --generator "$runs/generator" --start "$runs/joined" --run "$runs/final" --steps 2400 $joined
