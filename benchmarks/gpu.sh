#!/usr/bin/env bash
# Everything that wants a GPU, in one call of under nine minutes, on a machine that has torch and CUDA:
#
#     benchmarks/gpu.sh [FOLDER OF WHEELS] [SmolLM2.gguf]
#
# 1. the tests marked gpu; 2. speed.py: sampling and a GRPO update, in the shape of SmolLM2-135M, one round of each; 3. nearly
# five minutes of GRPO. The wheels are those that the machine lacks; without a folder they come from the package index. What
# comes of it stands in $OUT (default runs/gpu): tests.txt, speed.jsonl (with the shares of an update that sampling and the
# env take), grpo/, and utilisation-*.csv of sampling alone and of GRPO: per cent and MiB, each second. A part that fails or
# takes too long does not stop the others; the exit status is that of the tests. For medians call speed.py itself, whose
# default is five rounds.
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
    "$python" -m pip install --quiet '.[gguf]' pytest trl
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/device.txt"
trap 'kill ${watcher:-} 2>/dev/null; rm -rf "$out/venv"' EXIT

timeout 40 "$python" -m pytest -q -c /dev/null --rootdir=. -m gpu -p no:cacheprovider --import-mode=importlib tests/agents/test_gpu.py >"$out/tests.txt" 2>&1
status=$?
tail -3 "$out/tests.txt"
timeout 95 "$python" benchmarks/speed.py sample-135m --device cuda --rounds 1 --limit 24 >"$out/speed.jsonl"  # 4 peers
timeout 55 "$python" benchmarks/speed.py update-135m --device cuda --rounds 1 --limit 26 >>"$out/speed.jsonl"
cat "$out/speed.jsonl"

watch() {
    nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits -l 1 >"$out/utilisation-$1.csv" &
    watcher=$!
}
tell() {
    kill $watcher
    awk -F, -v of="$1" '{sum += $1} END {if (NR) printf "mean utilisation of the device during %s: %.0f %%\n", of, sum / NR}' \
        "$out/utilisation-$1.csv"
}

watch sampling
timeout 25 "$python" benchmarks/speed.py sample-135m --device cuda --peer textgym
tell sampling
policy=${gguf:-tiny}
watch grpo
timeout --signal INT --kill-after 10 280 "$python" -m textgym train --agent grpo --env TextMath-v0 --policy "$policy" --bf16 \
    --total-episodes 100000 --prompts-per-update 64 --group-size 8 --max-new-tokens 16 --eval-episodes 200 \
    --out "$out/grpo" >"$out/grpo.txt" 2>&1
tail -5 "$out/grpo.txt"
tell grpo
exit $status
