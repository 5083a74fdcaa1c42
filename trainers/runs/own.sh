#!/usr/bin/env bash
# Your own labelled pictures, from data to a page with sliders. Repeat the command to resume after a stop.
#   bash trainers/runs/own.sh SPEC RUNS_FOLDER [CHANGES...]
#   TITLE=Shoes SUBJECT="a shoe" LICENCE=cc-by-4.0 bash trainers/runs/own.sh folder:shoes ../runs/shoes Leather
# SPEC: folder:PATH, hf:org/name, ... CHANGES: labels, with "not-" those to take away; by default every label.
# docs/own-data.md explains both. Environment variables: RESOLUTION, OPTIONS of the data set ("labels=list.csv
# columns=A,B"), TITLE, SUBJECT, LICENCE (for cards), NAMESPACE (to publish on the Hub), EDIT (the method and
# its options), and the sizes that stand below.
set -euo pipefail
export PYTHONPATH="$(dirname "$(realpath "$0")")/../..:${PYTHONPATH:-}" # so that it runs in any folder
usage="usage: own.sh SPEC RUNS_FOLDER [CHANGES...]"
spec=${1:?$usage} runs=${2:?$usage}
changes=("${@:3}")
processes=${PROCESSES:-$(python -c 'import torch; print(1 if torch.cuda.is_available() else 2)')}
batch=${BATCH:-32} w_dim=${W_DIM:-128}
stage() { python -m trainers "$@"; }
domain() {
    python -c 'import json, sys
print(*json.load(open(sys.argv[1]))["domain"][sys.argv[2]], sep=sys.argv[3])' "$runs/data/dataset.json" "$@"
}

# Pictures and labels.
options=(${OPTIONS:-})
[ -z "${TITLE:-}" ] || options+=("title=$TITLE")
[ -z "${SUBJECT:-}" ] || options+=("subject=$SUBJECT")
stage data "$spec" --data "$runs/data" --resolution "${RESOLUTION:-64}" ${options:+--options "${options[@]}"}
# A misspelt change ends here, not after hours of training.
python -c 'import sys; from pathlib import Path; from trainers.shards import load_dataset
try:
    [load_dataset(Path(sys.argv[1]))[0].change(name) for name in sys.argv[2:]]
except ValueError as error:
    sys.exit(f"error: {error}")' "$runs/data" "${changes[@]}"
model=$runs/registry/lwgan-$(domain name "")

# Readers of pictures: the selector chooses strengths; the judge and the identity network measure and do
# nothing else.
judge=(--data "$runs/data" --steps "${JUDGE_STEPS:-2500}")
stage judge labels "${judge[@]}" --run "$runs/selector" --seed 2 --widths 24 48 96 --features 96
stage judge labels "${judge[@]}" --run "$runs/judge" --seed 1
stage register "$runs/judge" "$model-judge"
if [ "$(python -c 'import sys; from pathlib import Path; from trainers.shards import load_split
groups = load_split(Path(sys.argv[1]), "train").groups
counts = [0] if groups is None else groups.unique(return_counts=True)[1].tolist()
print(max(counts))' "$runs/data")" -gt 3 ]; then
    stage judge identity "${judge[@]}" --run "$runs/identity"
    stage register "$runs/identity" "$model-identity"
fi

# Generator and encoder: one after the other, tuned together, brought into one space.
gan=(--data "$runs/data" --r1 0.5 --instance-noise 0.03 --processes "$processes")
stage generator "${gan[@]}" --run "$runs/generator" --kimg "${KIMG:-150}" \
    --batch $((2 * batch)) --z-dim "$w_dim" --w-dim "$w_dim"
nets=("${gan[@]}" --generator "$runs/generator" --tune --steps "${STEPS:-3000}"
    --batch "$batch" --gan-batch "$batch" --gan-every 2 --code-noise 0.1)
stage encoder "${nets[@]}" --run "$runs/tuned" --code 0 --learning-rate 4e-4
stage align join --data "$runs/data" --start "$runs/tuned" --run "$runs/joined"
stage encoder "${nets[@]}" --start "$runs/joined" --run "$runs/final" \
    --code 0.1 --norm 0 --mixed 0.1 --ema-kimg 5
stage align match --data "$runs/data" --start "$runs/final" --run "$runs/encoder" \
    --directions $((w_dim < 24 ? w_dim : 24))
stage register "$runs/encoder/generator" "$model-generator"
stage register "$runs/encoder" "$model-encoder"
stage register "$runs/data/samples" "$model-samples"

# Codes, a classifier of codes that measures, and the edits. A change that cannot be learned is left out.
stage codes --data "$runs/data" --encoder "$runs/encoder" --run "$runs/codes"
stage judge codes --codes "$runs/codes" --run "$runs/latent" --seed 2 --hidden 256 64
stage register "$runs/latent" "$model-latent-classifier"
[ ${#changes[@]} -gt 0 ] || mapfile -t changes < <(domain attributes $'\n')
left_out=()
for change in "${changes[@]}"; do
    edit=lw-$(echo "$change" | tr 'A-Z' 'a-z' | tr -c 'a-z0-9\n' '-')
    [ -e "$runs/edits/$edit/config.json" ] || stage edit \
        --codes "$runs/codes" --change "$change" --run "$runs/edits/$edit" \
        --generator "$runs/encoder/generator" --selector "$runs/selector" ${EDIT:-lw} ||
        { left_out+=("$change"); continue; }
    stage register "$runs/edits/$edit" "$model-$edit"
done

# Figures, cards and the page.
stage evaluate --data "$runs/data" --registry "$runs/registry" --run "$runs/results" \
    ${PICTURES:+--pictures "$PICTURES" --samples "$PICTURES"}
if [ -n "${LICENCE:-}" ]; then
    publish=(--namespace "${NAMESPACE:-local}" --licence "$LICENCE")
    [ -n "${NAMESPACE:-}" ] || publish+=(--dry-run --target "$runs/cards")
    stage publish "$runs/registry" "${publish[@]}"
else
    echo "For cards, state whose pictures these are: LICENCE=cc-by-4.0 or another id of the Hub"
fi
[ ${#left_out[@]} -eq 0 ] || echo "Left out, for the reasons above: ${left_out[*]}"
echo "The page: LWGAN_REGISTRY=$runs/registry python app.py"
