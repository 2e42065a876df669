"""Where and how a training step runs; nothing here changes what is computed, but for rounding."""

from models.settings.checks import require, require_at_least_zero, require_positive, settings_class

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


@settings_class("Runtime")
class RuntimeSettings:
    """The devices of a run, and how the step is compiled for them; gin/runtime/ has one file a kind of machine.

    Attributes:
      strategy: "one_device" (a CPU or one GPU), "mirrored" (all GPUs of this machine), "multi_worker" (several machines
        with GPUs or CPUs, described by TF_CONFIG), or "tpu".
      devices: devices of "mirrored", such as ('GPU:0', 'GPU:1'); empty takes every GPU.
      tpu: name or grpc address of the TPU; "local" is the one attached to this machine (a TPU VM).
      compute_dtype: "float32", or "bfloat16" for the towers' activations; weights, loss and sums stay float32.
      remat: recompute each encoder block in the backward pass instead of keeping its activations.
      jit_compile: compile with XLA; without it, two runs of one seed may end in slightly different weights.
      steps_per_loop: steps run on the devices between two looks at the result.
      peak_flops: of one device, operations per second in compute_dtype, for model FLOP utilisation; 0 where unknown.
    """

    strategy: str = "one_device"
    devices: tuple[str, ...] = ()
    tpu: str = "local"
    compute_dtype: str = "float32"
    remat: bool = False
    jit_compile: bool = True
    steps_per_loop: int = 1
    peak_flops: float = 0.0

    def __post_init__(self) -> None:
        require(
            self.strategy in STRATEGIES, "Runtime.strategy", self.strategy, f"one of {', '.join(STRATEGIES)}",
            "include one of gin/runtime/*.gin",
        )  # fmt: skip
        require(
            self.compute_dtype in ("float32", "bfloat16"), "Runtime.compute_dtype", self.compute_dtype,
            "'float32' or 'bfloat16'", "correct it",
        )  # fmt: skip
        require_positive(self, "steps_per_loop")
        require_at_least_zero(self, "peak_flops", fix="use 0 where it is unknown")
        require(
            self.jit_compile or not self.remat or self.strategy == "tpu",
            "Runtime.remat",
            self.remat,
            "False without XLA, which would keep what is recomputed",
            "set Runtime.jit_compile = True",
        )
