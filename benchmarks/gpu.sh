#!/usr/bin/env bash
# Everything that wants a GPU, in one call of under nine minutes, on a machine that has torch and CUDA:
#
#     benchmarks/gpu.sh [FOLDER OF WHEELS] [SmolLM2.gguf]
#
# 1. the tests marked gpu; 2. speed.py: sampling and a GRPO update, in the shape of SmolLM2-135M; 3. five minutes of GRPO.
# The wheels are those that the machine lacks; without a folder they come from the package index. What comes of it stands
# in $OUT (default runs/gpu): tests.txt, speed.jsonl (with the shares of an update that sampling and the env take), grpo/,
# and for these five minutes utilisation.csv, of the device in per cent, each second. A part that fails or takes too long
# does not stop the others; the exit status is that of the tests.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wheels=${1:-}
gguf=${2:-}
out=${OUT:-runs/gpu}
mkdir -p "$out"

python3 -m venv --system-site-packages "$out/venv"
python="$out/venv/bin/python"
if [ -n "$wheels" ]; then
    "$python" -m pip install --quiet --no-index --no-deps "$wheels"/*.whl
    "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation .
else
    "$python" -m pip install --quiet . pytest trl
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/device.txt"
trap 'kill %1 2>/dev/null; rm -rf "$out/venv"' EXIT

timeout 60 "$python" -m pytest -q -c /dev/null --rootdir=. -m gpu -p no:cacheprovider --import-mode=importlib tests/agents/test_gpu.py >"$out/tests.txt" 2>&1
status=$?
tail -3 "$out/tests.txt"
for row in sample-135m update-135m; do
    timeout 75 "$python" benchmarks/speed.py "$row" --device cuda --rounds 1 --limit 30
done >"$out/speed.jsonl"
cat "$out/speed.jsonl"
policy=${gguf:-tiny}
nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits -l 1 >"$out/utilisation.csv" &
timeout --signal INT --kill-after 10 300 "$python" -m textgym train --agent grpo --env TextMath-v0 --policy "$policy" --bf16 \
    --total-episodes 100000 --prompts-per-update 64 --group-size 8 --max-new-tokens 16 --eval-episodes 200 \
    --out "$out/grpo" >"$out/grpo.txt" 2>&1
tail -5 "$out/grpo.txt"
awk -F, '{sum += $1} END {if (NR) printf "mean utilisation of the device during GRPO: %.0f %%\n", sum / NR}' "$out/utilisation.csv"
exit $status
