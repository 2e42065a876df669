"""Settings of the devices. They change the speed, the memory and the rounding of a training step, not its result."""

from models.settings.checks import require, require_at_least_zero, require_one_of, require_positive, settings_class

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")
REMATERIALIZED = ("nothing", "attention", "block", "scan", "pieces")


@settings_class(
    "Runtime",
    formerly={"Runtime.remat = True": "Runtime.remat = 'block'", "Runtime.remat = False": "Runtime.remat = 'nothing'"},
)
class RuntimeSettings:
    """The devices of a run, and how to compile the step for them. gin/runtime/ has one file for each kind of machine.

    Attributes:
      strategy: "one_device" (a CPU or one GPU), "mirrored" (the GPUs of this machine), "multi_worker" (several machines
        with GPUs or CPUs; TF_CONFIG lists them), or "tpu".
      devices: devices of "mirrored", such as ('GPU:0', 'GPU:1'). () takes every GPU.
      tpu: name or grpc address of the TPU. "local" is the TPU of this machine (a TPU VM).
      compute_dtype: dtype of the towers' activations, "float32" or "bfloat16". Set "bfloat16" on GPUs and TPUs, for
        speed and memory; weights, loss and sums stay float32.
      remat: what the backward pass computes again, if activations do not fit into memory. "nothing" is fastest.
        "attention" computes the attention weights again, "block" everything but the input of each encoder block. "scan"
        does what "block" does, in a loop over the blocks: XLA compiles one block, so compiling takes far less time.
        "pieces" does what "scan" does, with a quarter of the rows of a replica in a layer at a time, and keeps the
        input of every second block alone (every third if only 3 divides the number of blocks). A MAP head
        takes a quarter of the rows at a time, too.
      jit_compile: compiles with XLA: the whole step on a GPU, a TPU or with `remat`; on a CPU, the parts that gain.
        Without it, two runs with one seed may end in slightly different weights.
      steps_per_loop: steps that the devices run before the host reads the result. Raise it on GPUs and TPUs, for speed;
        a run that is asked to stop finishes these steps first.
      peak_flops: peak speed of one device in compute_dtype (floating-point operations per second); the log needs it for
        model FLOP utilisation. 0 leaves that figure out.
    """

    strategy: str = "one_device"
    devices: tuple[str, ...] = ()
    tpu: str = "local"
    compute_dtype: str = "float32"
    remat: str = "nothing"
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
        require_one_of(self, "remat", REMATERIALIZED)
        require_positive(self, "steps_per_loop")
        require_at_least_zero(self, "peak_flops", fix="use 0 if it is unknown")
        require(
            self.jit_compile or self.remat == "nothing" or self.strategy == "tpu",
            "Runtime.remat",
            self.remat,
            "'nothing' without XLA, because TensorFlow would keep the activations anyway",
            "set Runtime.jit_compile = True",
        )
