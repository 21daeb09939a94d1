#!/bin/sh
# What minutes on a machine with a CUDA device are for, one part per call:
#     sh benchmarks/run_gpu.sh kernels [FOLDER]
#         tests and benchmark of the kernels, and pictures on the device: their tests, and times of one against the CPU.
#         FOLDER (benchmarks/results unless told) receives gpu-tests.txt, kernel-cuda.{json,md,png} and
#         picture-cuda.json. Needs the extras gpu, bench and test. The exit status is that of the tests.
#     sh benchmarks/run_gpu.sh tune
#         prints the fastest launch shapes of the large searches, for vqcodec/kernels/tuning.py.
#     sh benchmarks/run_gpu.sh train MODEL RUN PHOTOS FOLDER [MINUTES]
#         goes on training RUN/model.safetensors, or its parts, for 8 minutes unless told; in bf16 on the device. MODEL is
#         image, for the filters of pictures, or a preset of tokens, for its networks: tokens, or tokens-deep, which may
#         begin from a model of the former. FOLDER receives the model in parts of 15 MiB and log.jsonl, and is what the
#         next call may have as its RUN. Needs the extra train. Runs on a CPU too, which is how to try it.
# PYTHON picks the interpreter, which must find vqcodec.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

kernels() {
    folder=${1:-benchmarks/results}
    mkdir -p "$folder"
    "$python" -c "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 'no CUDA device here')"
    status=0
    "$python" -m pytest -q -rs tests/kernels tests/image/test_device.py -k "cuda or gpu" > "$folder/gpu-tests.txt" 2>&1 || status=$?
    tail -n 30 "$folder/gpu-tests.txt"
    "$python" -c "
import sys
from pathlib import Path
from vqcodec.benchmarks.image.device import run
print(run(Path('examples/lake.png'), Path(sys.argv[1])))" "$folder" || status=$?
    "$python" -c "
import sys
from pathlib import Path
from vqcodec.benchmarks.kernel.run import run
print(run(Path(sys.argv[1]), device='cuda'))" "$folder"
    return $status
}

train() {
    model=$1 run=$2 photos=$3 folder=$4 minutes=${5:-8}
    if [ ! -f "$run/model.safetensors" ] && [ -f "$run/model.safetensors.aa" ]; then
        cat "$run"/model.safetensors.?? > "$run/model.safetensors"
    fi
    case $model in
        image) set -- --stage restore ;;
        *) set -- --stage network --preset "$model" --init "$run/model.safetensors" ;;
    esac
    "$python" -m vqcodec train "${model%%-*}" --data "$photos" --out "$run" --minutes "$minutes" "$@"
    mkdir -p "$folder"
    rm -f "$folder"/model.safetensors.??
    split -b 15m "$run/model.safetensors" "$folder/model.safetensors."
    cp "$run/log.jsonl" "$folder/"
}

tune() {
    "$python" -m vqcodec.benchmarks.kernel.tune
}

case ${1:-}:$# in
    kernels:[12] | tune:1 | train:[56]) "$@" ;;
    *) sed -n '2,/^set/p' "$0" | grep '^#' >&2; exit 2 ;;
esac
