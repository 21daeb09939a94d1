#!/bin/sh
# What minutes on a machine with a CUDA device are for, one part per call:
#     sh benchmarks/run_gpu.sh kernels [FOLDER]
#         tests and benchmark of the kernels, and pictures on the device: their tests, and times of one against the CPU.
#         FOLDER (benchmarks/results unless told) receives gpu-tests.txt, kernel-cuda.{json,md,png} and
#         picture-cuda.json. Needs the extras gpu, bench and test. The exit status is that of the tests.
#     sh benchmarks/run_gpu.sh train RUN PHOTOS FOLDER [MINUTES]
#         goes on training the filter of RUN/model.safetensors (8 minutes unless told; in bf16 on the device), from
#         RUN/restore.ckpt or its parts where they are there. FOLDER receives model.safetensors, log.jsonl and the
#         checkpoint in parts of 15 MiB. Needs the extra train. Runs on a CPU too, which is how to try it.
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
    run=$1 photos=$2 folder=$3 minutes=${4:-8}
    mkdir -p "$folder"
    if [ ! -f "$run/restore.ckpt" ] && [ -f "$run/restore.ckpt.aa" ]; then
        cat "$run"/restore.ckpt.?? > "$run/restore.ckpt"
    fi
    resume=""
    if [ -f "$run/restore.ckpt" ]; then resume=--resume; fi
    "$python" -m vqcodec train image --data "$photos" --out "$run" --stage restore --minutes "$minutes" $resume
    split -b 15m "$run/restore.ckpt" "$folder/restore.ckpt."
    cp "$run/model.safetensors" "$run/log.jsonl" "$folder/"
}

case ${1:-} in
    kernels | train) "$@" ;;
    *) sed -n '2,/^set/p' "$0" | grep '^#' >&2; exit 2 ;;
esac
