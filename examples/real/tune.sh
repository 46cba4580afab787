#!/usr/bin/env bash
# Turns subject-verb agreement around in a model of real language, by its circuit and by what is
# compared with it:
#
#     examples/real/tune.sh MODEL [FOLDER] [OPTIONS OF edgegrad tune-compare]
#     examples/real/tune.sh "$(examples/real/get.sh)"
#
# Pairs are drawn for the model's tokenizer, 72 to learn from, 24 to choose learning rates by and 40
# to judge by, with answers and distractors in each other's place; keep.jsonl are sentences of Alice's
# Adventures in Wonderland (Lewis Carroll, 1865), whose prediction is to be kept. EDGEGRAD names the
# command, unless it is to be built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$(realpath "${1:?"tune.sh takes a model: a folder or a GGUF file"}")
folder=${2:-runs/turned}
edgegrad() { ${EDGEGRAD:-cargo run --release --quiet --} "$@"; }

mkdir -p "$folder"
edgegrad pairs agreement --model "$model" --n 136 --seed 0 --opposite --out "$folder/pairs.jsonl" --force
sed -n 1,72p "$folder/pairs.jsonl" > "$folder/train.jsonl"
sed -n 73,96p "$folder/pairs.jsonl" > "$folder/dev.jsonl"
sed -n 97,136p "$folder/pairs.jsonl" > "$folder/test.jsonl"
cp "$here/keep.jsonl" "$folder/"
sed "s|^model = .*|model = \"$model\"|" "$here/turned.toml" > "$folder/turned.toml"
edgegrad tune-compare "$folder/turned.toml" --out "$folder/runs" "${@:3}"
