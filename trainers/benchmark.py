"""How fast the networks run, how much memory they take, and how far they are from the community's.

    python -m trainers benchmark generator --peers ../peers --report docs/speed.md
    python -m trainers benchmark encoder --peers ../peers
    python -m trainers benchmark app --report docs/speed-app.md      (trainers/benchmark_app.py)

Every case runs in a process of its own; in it all implementations take turns, with the same weights, so that what else
the machine does burdens them alike. CPU seconds are the process's (user and system), the least of all turns.
"""

import copy
import ctypes
import gc
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm
from tyro.conf import Positional

from lwgan.encoder import Encoder, hold_half
from lwgan.generator import Generator
from trainers import benchmark_app, peers, run

# What glibc reads when a process starts: it then keeps the memory it was given instead of giving large tensors back each time.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
ENCODER_SIZE = 256  # px, what pSp takes
PEERS = {
    "generator": {"rosinality": peers.rosinality_of, "NVIDIA": peers.nvidia_of},
    "encoder": {"pSp": peers.psp_of},
}


@dataclass(frozen=True)
class Options:
    """Measure speed, memory and error of the generator (StyleGAN2 config-f) or the encoder (pSp's), with random weights; or the app's speed."""

    network: Positional[Literal["generator", "encoder", "app"]] = "generator"
    sizes: tuple[int, ...] = (128, 256, 1024)
    """Sides of the generator's pictures, px."""
    batches: tuple[int, ...] = (1, 4)
    threads: tuple[int, ...] = (1, 2)
    turns: int = 5
    """Times that each implementation is timed; one more goes before, untimed."""
    peers: Path | None = None
    """Folder with checkouts of stylegan2-pytorch, stylegan2-ada-pytorch and pixel2style2pixel (those that are there take part)."""
    allocator: Literal["default", "keep"] = "default"
    """keep: every process, also the peers', has glibc keep its memory (MALLOC_MMAP_MAX_=0 and others)."""
    device: str = "auto"
    report: Path | None = None
    """File to write the table to, as Markdown."""
    moves: int = 40
    """Of the app: moves of a slider that are timed."""
    seconds: float = 20
    """Of the app: for which 16 clients ask."""
    long_seconds: float = 180
    """Of the app: for which 64 clients ask."""


@dataclass(frozen=True)
class Case:
    """One row for each implementation: what a child process measures."""

    network: str
    size: int
    batch: int
    threads: int
    turns: int
    peers: str | None
    device: str
    only: str | None = None
    """Run this implementation alone, once: for its peak memory."""


def main(options: Options) -> None:
    if options.network == "app":
        measure_app(options)
        return
    device = str(run.device_of(options.device))
    sizes = options.sizes if options.network == "generator" else (ENCODER_SIZE,)
    if options.peers and not any(
        (options.peers / peers.FOLDERS[name]).exists() for name in PEERS[options.network]
    ):
        names = " or ".join(peers.FOLDERS[name] for name in PEERS[options.network])
        raise FileNotFoundError(f"--peers {options.peers} holds no {names}")
    folder = str(options.peers.resolve()) if options.peers else None
    cases = [
        Case(options.network, s, b, t, options.turns, folder, device)
        for s in sizes
        for b in options.batches
        for t in options.threads
    ]
    rows, text = [], ""
    for case in tqdm(cases, "benchmark"):
        for row in child(case, options.allocator)["rows"]:
            row["peak"] = child(Case(**{**asdict(case), "only": row["name"]}), options.allocator)["peak"]
            rows.append({"case": case, **row})
        text = report(rows, options, device)
        if options.report:  # after each case: what was measured outlasts a case that fails
            run.write_text(options.report, text)
    print(text)


def measure_app(options: Options) -> None:
    size = benchmark_app.Size(options.moves, options.seconds, options.long_seconds)
    with tempfile.TemporaryDirectory() as folder:
        text = benchmark_app.report(benchmark_app.measure(size, Path(folder)), size, processor())
    if options.report:
        run.write_text(options.report, text)
    print(text)


def child(case: Case, allocator: str) -> dict:
    """What a fresh process finds. RuntimeError with its last words if it fails."""
    ignored = {*KEEP_MEMORY, "GLIBC_TUNABLES", "LD_PRELOAD"}
    environment = {key: value for key, value in os.environ.items() if key not in ignored}
    environment |= KEEP_MEMORY if allocator == "keep" else {}
    environment["OMP_NUM_THREADS"] = str(case.threads)
    words = [sys.executable, "-m", "trainers.benchmark", json.dumps(asdict(case))]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the case {case} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@torch.inference_mode()
def measure(case: Case) -> dict:
    """In the child: {"rows": [{"name", "cpu", "wall", "error", "gflops", "sgemm"}], "gflop"}, or {"peak": GB} of one implementation."""
    torch.set_num_threads(case.threads)
    torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
    device = torch.device(case.device)
    net, x = network(case, device)
    forward = net.synthesis if isinstance(net, Generator) else net
    implementations = implementations_of(case, net, forward)
    if case.only:
        alone = implementations[case.only]()
        del net, forward, implementations  # a peer has weights of its own
        reset_peak(device)  # and both networks were there while they were copied
        alone(x)
        return {"peak": peak_memory(device)}
    ready = {name: make() for name, make in implementations.items()}
    errors = errors_of({name: f(x).float().clone() for name, f in ready.items()}, case.network)
    times = {name: [] for name in ready}
    names = list(ready)
    for turn in range(case.turns):
        for name in (
            names[turn % len(names) :] + names[: turn % len(names)]
        ):  # who comes first inherits what the last one left
            times[name].append(timed(lambda f=ready[name]: f(x), device))
    gflop, clock = work(forward, x), clock_of(case.device)
    rate = matrix_rate(device, clock)
    rows = []
    for name, turns in times.items():
        least = dict(zip(("cpu", "wall"), (min(column) for column in zip(*turns, strict=True)), strict=True))
        rows.append(
            {"name": name, **least, "error": errors[name], "gflops": gflop / least[clock], "sgemm": rate}
        )
    return {"rows": rows, "gflop": gflop}


def work(forward: Callable, x: Tensor) -> float:
    """GFLOP of the network, two for a multiplication and addition, its convolutions done directly: a faster algorithm does less."""
    with (
        torch.inference_mode(False),
        FlopCounterMode(display=False) as counter,
    ):  # where there may be gradients, all are direct
        forward(x)
    return counter.get_total_flops() / 1e9


def errors_of(results: dict[str, Tensor], network: str) -> dict[str, float]:
    """Relative root mean square error of each implementation, against the first peer that takes part, or else ours in float32.
    ValueError if one in float32 is not the same function."""
    reference = reference_of(results, network)
    errors = {
        name: ((found - results[reference]).norm() / results[reference].norm()).item()
        for name, found in results.items()
    }
    for name, error in errors.items():
        if not any(half in name for half in ("bf16", "fp16")) and not error <= 1e-5:
            raise ValueError(
                f"{name} is another function than {reference}: relative error {error:.1e}, expected at most 1e-5"
            )
    return errors


def reference_of(names, network: str) -> str:
    return next((name for name in PEERS[network] if name in names), "lwgan")


def clock_of(device: str) -> str:
    """What to compare by: on a GPU the wall's clock; on a CPU the process's own, which other work on the machine moves less."""
    return "wall" if device.startswith("cuda") else "cpu"


def network(case: Case, device: torch.device) -> tuple[nn.Module, Tensor]:
    """Ours with random weights, and what it is given."""
    torch.manual_seed(0)
    if case.network == "encoder":
        net = Encoder(resolution=case.size, img_channels=3, num_ws=18, w_dim=512, backbone="ir_se50")
        x = torch.rand(case.batch, 3, case.size, case.size) * 2 - 1
    else:
        net = Generator(resolution=case.size)
        x = torch.randn(case.batch, net.num_ws, net.w_dim)
        for name, value in net.named_parameters():
            if name.endswith("noise_strength"):
                nn.init.constant_(value, 0.1)
    return net.eval().requires_grad_(False).to(device), x.to(device)


def implementations_of(case: Case, net: nn.Module, forward: Callable) -> dict[str, Callable[[], Callable]]:
    """Name -> what makes a function of x. On CUDA also the compiled network, one graph for each batch size."""

    def half(f: Callable, dtype: torch.dtype, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype):
            return f(x)

    def halved(dtype: torch.dtype) -> Callable:
        """As EditingPipeline has it: an encoder with half the weights. In a process of its own it needs no other."""
        return partial(
            half,
            forward
            if case.network == "generator"
            else hold_half(net if case.only else copy.deepcopy(net), dtype),
            dtype,
        )

    made = {"lwgan": lambda: forward, "lwgan bf16": partial(halved, torch.bfloat16)}
    if case.device.startswith("cuda"):
        made["lwgan fp16"] = partial(halved, torch.float16)
        made["lwgan bf16 compiled"] = lambda: warm(
            partial(half, torch.compile(forward, mode="reduce-overhead"), torch.bfloat16)
        )
    for name, make in PEERS[case.network].items():
        folder = Path(case.peers or "") / peers.FOLDERS[name]
        if case.peers and folder.exists():
            made[name] = partial(make, net, folder)
            if name == "NVIDIA" and case.device.startswith("cuda"):
                made["NVIDIA fp16"] = partial(make, net, folder, half=True)
    return made


def warm(f: Callable) -> Callable:
    """The function, which compiles at its first calls, as it is after them."""

    def called(x: Tensor) -> Tensor:
        while called.cold:
            called.cold -= 1
            f(x)
        return f(x)

    called.cold = 3
    return called


def timed(f: Callable, device: torch.device) -> tuple[float, float]:
    """CPU seconds of this process (all threads) and seconds on the wall that a call takes."""
    synchronize(device)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    f()
    synchronize(device)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, clock: str, side: int = 2048) -> float:
    """GFLOP/s of this machine's own float32 matrix product, by the clock of the rows: what no direct convolution can pass by much."""
    a = torch.randn(side, side, device=device)
    times = [dict(zip(("cpu", "wall"), timed(lambda: a @ a, device), strict=True))[clock] for _ in range(5)]
    return 2 * side**3 / min(times) / 1e9


def reset_peak(device: torch.device) -> None:
    """From here on `peak_memory` counts anew, from what is held now; on CPUs where the system lets it (Linux)."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(
            0
        )  # glibc keeps what was freed below what is still held: nearly all of a network that was copied
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif (marks := Path("/proc/self/clear_refs")).exists():
        marks.write_text("5")  # proc(5): resets the high-water mark of resident memory


def peak_memory(device: torch.device) -> float:
    """GB, 10^9 bytes, since `reset_peak`: of the process, with Python, torch and weights; on CUDA of what torch allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent held when it started this process
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e9
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    )


def report(rows: list[dict], options: Options, device: str) -> str:
    """The table, and above it how it came about."""
    words = [f"--sizes {' '.join(map(str, options.sizes))}"] if options.network == "generator" else []
    words += [
        f"--batches {' '.join(map(str, options.batches))}",
        f"--threads {' '.join(map(str, options.threads))}",
    ]
    words += [f"--turns {options.turns}", f"--allocator {options.allocator}"] + (
        ["--peers PEERS"] if options.peers else []
    )
    words += [f"--device {options.device}"] if options.device != "auto" else []
    machine = torch.cuda.get_device_name() if device.startswith("cuda") else processor()
    clock, names = clock_of(device), dict.fromkeys(row["name"] for row in rows)
    known = {
        name: peers.revision(options.peers / peers.FOLDERS[name]) for name in names if name in peers.FOLDERS
    }
    lines = [
        f"`python -m trainers benchmark {options.network} {' '.join(words)}`  ",
        f"{machine}, {os.cpu_count()} cores, torch {torch.__version__}"
        + "".join(f", {name} {commit}" for name, commit in known.items())
        + f". Times are for the whole batch, the least of all turns. Error: relative root mean square, against {reference_of(names, options.network)}. "
        f"GFLOP/s: the work of lwgan's network, counted as direct convolutions, over {clock} seconds; beside it that of a matrix product.",
        "",
        f"| px | batch | threads | implementation | CPU s | wall s | times lwgan's {clock} s | peak GB | error | GFLOP/s (sgemm) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        case = row["case"]
        ours = next(other[clock] for other in rows if other["case"] == case and other["name"] == "lwgan")
        lines.append(
            f"| {case.size} | {case.batch} | {case.threads} | {row['name']} | {row['cpu']:.3f} | {row['wall']:.3f} | {row[clock] / ours:.2f} "
            f"| {row['peak']:.2f} | {row['error']:.2e} | {row['gflops']:.0f} ({row['sgemm']:.0f}) |"
        )
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The CPU's name, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    names = (
        [
            line.split(":")[1].strip()
            for line in path.read_text().splitlines()
            if line.startswith("model name")
        ]
        if path.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    print(json.dumps(measure(Case(**json.loads(sys.argv[1])))))
