"""The kernels pass Triton's compiler for real devices, with the launch shapes of the tuning table; needs no GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vqcodec.kernels.tuning import DIRECT_TO, FMA_STEP, tuning

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter replaces the compiler"
)
SHARED_MEMORY = {80: 163 << 10, 86: 99 << 10, 90: 227 << 10, 120: 99 << 10}  # bytes per program, CUDA programming guide


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def build(kernel: str, capability: int, dimension: int, half: bool = False, **constants: Any) -> Any:
    """The compiled search, as a launch on a device of this capability would make it."""
    shape = tuning(divmod(capability, 10), dimension, half, kernel.endswith("dot"))
    constants |= {"D": dimension, "ROWS": shape.rows}
    if kernel.endswith("dot"):
        constants |= {"CODES": shape.codes, "WIDTH": max(16, dimension), "PRECISION": "ieee" if half else "tf32x3"}
    else:
        constants |= {"STEP": FMA_STEP, "DIRECT": dimension <= DIRECT_TO}
    types = {"rows_ptr": "*i64", "out_ptr": "*i64"}
    if half:
        types |= {"x_ptr": "*fp16", "words_ptr": "*fp16"}
        constants["centre_ptr"] = None
    return compiled(kernel, capability, types, constants, {"num_warps": shape.warps, "num_stages": shape.stages})


def compiled(
    kernel: str, capability: int, types: dict[str, str], constants: dict[str, Any], options: dict[str, Any]
) -> Any:
    """A kernel for a device of this capability; pointers are to float32, numbers int32, unless ``types`` says."""
    pytest.importorskip("triton", reason="Triton is not installed")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from vqcodec.kernels import triton_kernels

    function = getattr(triton_kernels, kernel)
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in function.arg_names} | types
    signature = {name: "constexpr" if name in constants else types[name] for name in function.arg_names}
    source = ASTSource(function, signature, constants)
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options=options | {"enable_fp_fusion": True})


@pytest.mark.parametrize(
    ("capability", "dimension", "form"),
    [(80, 64, 0), (86, 128, 1), (90, 64, 0), (90, 128, 1), (90, 2, 2), (120, 128, 0)],
)
def test_matrix_kernel_fits(capability: int, dimension: int, form: int) -> None:
    built = build("assign_dot", capability, dimension, FORM=form)
    assert built.metadata.shared <= SHARED_MEMORY[capability]
    assert (capability == 90) == ("wgmma.mma_async" in built.asm["ptx"])


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("dimension", [1, 4, 15])
def test_unrolled_kernel_wastes_nothing(dimension: int, form: int) -> None:
    ptx = build("assign_fma", 90, dimension, FORM=form).asm["ptx"]
    vectors = 8 if dimension <= 8 else 4  # per thread
    assert ptx.count("fma.rn.f32") == 2 * vectors * FMA_STEP * dimension  # the loop, and once more for the best four
    assert "shfl" not in ptx  # a thread owns its vectors: no exchange
    assert "shared" not in ptx.split("{", 1)[1]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dimension", "direct"), [(2, True), (8, False), (128, False)])
def test_preparing_kernels_compile(dimension: int, direct: bool, bias: bool) -> None:
    constants = {"D": dimension, "WIDTH": dimension, "BLOCK": 32, "CENTRED": not direct, "DIRECT": direct}
    assert (
        compiled("prepare_words", 90, {}, constants | ({} if bias else {"bias_ptr": None}), {}).metadata.shared
        < 64 << 10
    )
    assert compiled("prepare_table", 90, {}, {"BLOCK": 256, "DIRECT": direct}, {}).metadata.shared == 0


def test_half_precision_and_residual_kernels() -> None:
    assert "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16" in build("assign_dot", 90, 64, half=True, FORM=0).asm["ptx"]
    assert build("residual_fma", 90, 4, STAGES=4).metadata.shared == 0
    assert build("residual_dot", 90, 64, STAGES=4).metadata.shared <= SHARED_MEMORY[90]
