#!/bin/sh
# Tests and benchmark of the kernels on a machine with a CUDA device, in one call:
#     sh benchmarks/run_gpu.sh [FOLDER]
# FOLDER (benchmarks/results unless told) receives gpu-tests.txt and kernel-cuda.{json,md,png}; PYTHON picks the interpreter.
# Needs vqcodec importable with the extras gpu, bench and test. The exit status is that of the tests.
set -u
cd "$(dirname "$0")/.." || exit 1
folder=${1:-benchmarks/results}
python=${PYTHON:-python3}
mkdir -p "$folder" || exit 1
"$python" -c "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 'no CUDA device here')" || exit 1
"$python" -m pytest -q -rs tests/kernels -k "cuda or gpu" > "$folder/gpu-tests.txt" 2>&1
status=$?
tail -n 30 "$folder/gpu-tests.txt"
"$python" -c "
import sys
from pathlib import Path
from vqcodec.benchmarks.kernel import run
print(run(Path(sys.argv[1]), device='cuda'))" "$folder" || exit 1
exit $status
