"""Speed, memory and accuracy of the generator and the encoder, beside the community's implementations.

Each case runs in a process of its own. In it all implementations take turns, with the same weights, so that
other work on the machine slows them alike.
"""

import copy
import ctypes
import gc
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from lwgan.devices import device_of
from lwgan.encoder import Encoder, hold_half
from lwgan.generator import Generator
from trainers.benchmark import peers

ENCODER_SIZE = 256  # px, what pSp takes
TABLE = """`python -m trainers benchmark {network} {words}`  
{facts}. Times are for the whole batch, the least of all turns. Error: relative root mean square, against
{reference}. GFLOP/s: the work of lwgan's network, counted as direct convolutions, over {clock} seconds; in
brackets that of a matrix product.

| px | batch | threads | implementation | CPU s | wall s | times lwgan's {clock} s \
| peak GB | error | GFLOP/s (sgemm) |
|---|---|---|---|---|---|---|---|---|---|
"""  # noqa: W291
PEERS = {"generator": {"rosinality": peers.rosinality_of, "NVIDIA": peers.nvidia_of},
         "encoder": {"pSp": peers.psp_of}}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What one child process measures: a row for each implementation."""

    network: str
    size: int
    batch: int
    threads: int
    turns: int
    peers: str | None
    device: str
    only: str | None = None
    """Run this implementation alone, once, for its peak memory."""


def measure(options, machine: str) -> Iterator[str]:
    """The table after each case, as Markdown. FileNotFoundError if `options.peers` holds no peer."""
    device = str(device_of(options.device))
    wanted = [peers.FOLDERS[name] for name in PEERS[options.network]]
    if options.peers and not any((options.peers / name).exists() for name in wanted):
        raise FileNotFoundError(f"--peers {options.peers} holds no {' or '.join(wanted)}")
    folder = str(options.peers.resolve()) if options.peers else None
    sizes = options.sizes if options.network == "generator" else (ENCODER_SIZE,)
    cases = itertools.product(sizes, options.batches, options.threads)
    cases = [Case(options.network, *case, options.turns, folder, device) for case in cases]
    rows = []
    for case in tqdm(cases, "benchmark"):
        for row in child(case)["rows"]:
            row["peak"] = child(replace(case, only=row["name"]))["peak"]
            rows.append({"case": case, **row})
        yield report(rows, options, device, machine)


def child(case: Case) -> dict:
    """The result of `run_case` in a fresh process. RuntimeError with the end of its stderr if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(case.threads)}
    words = [sys.executable, "-m", "trainers.benchmark.networks", json.dumps(asdict(case))]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the case {case} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@torch.inference_mode()
def run_case(case: Case) -> dict:
    """{"rows": [{"name", "cpu", "wall", "error", "gflops", "sgemm"}], "gflop"}; with `only` {"peak": GB}."""
    torch.set_num_threads(case.threads)
    torch.backends.cudnn.allow_tf32 = False  # float32 has to mean float32
    device = torch.device(case.device)
    net, x = network(case, device)
    forward = net.synthesis if isinstance(net, Generator) else net
    implementations = implementations_of(case, net, forward, x)
    if case.only:
        alone = implementations[case.only]()
        del net, forward, implementations  # a peer has a copy of the weights
        reset_peak(device)
        alone(x)
        return {"peak": peak_memory(device)}
    ready = {name: make() for name, make in implementations.items()}
    errors = errors_of({name: f(x).float().clone() for name, f in ready.items()}, case.network)
    times, names = {name: [] for name in ready}, list(ready)
    for turn in range(case.turns):
        start = turn % len(names)  # each comes first in some turn: the first finds the caches of the last
        for name in names[start:] + names[:start]:
            times[name].append(timed(partial(ready[name], x), device))
    gflop, clock = work(forward, x), clock_of(case.device)
    rate, rows = matrix_rate(device, clock), []
    for name, turns in times.items():
        least = {"cpu": min(cpu for cpu, _ in turns), "wall": min(wall for _, wall in turns)}
        figures = {"error": errors[name], "gflops": gflop / least[clock], "sgemm": rate}
        rows.append({"name": name, **least, **figures})
    return {"rows": rows, "gflop": gflop}


def work(forward: Callable, x: Tensor) -> float:
    """GFLOP of direct convolutions, two for a multiplication with addition. A faster algorithm does fewer."""
    # With gradients enabled the networks use direct convolutions only.
    with torch.inference_mode(False), FlopCounterMode(display=False) as counter:
        forward(x)
    return counter.get_total_flops() / 1e9


def errors_of(results: dict[str, Tensor], network: str) -> dict[str, float]:
    """Relative root mean square error of each implementation against the first peer, or else ours in float32.
    ValueError if one in float32 computes another function."""
    reference = results[reference_of(results, network)]
    errors = {name: ((y - reference).norm() / reference.norm()).item() for name, y in results.items()}
    for name, error in errors.items():
        if not any(half in name for half in ("bf16", "fp16")) and not error <= 1e-5:
            where = f"{name} is another function than {reference_of(results, network)}"
            raise ValueError(f"{where}: relative error {error:.1e}, expected at most 1e-5")
    return errors


def reference_of(names, network: str) -> str:
    return next((name for name in PEERS[network] if name in names), "lwgan")


def clock_of(device: str) -> str:
    """The clock to compare by: wall time on a GPU, CPU time on a CPU, which other processes disturb less."""
    return "wall" if device.startswith("cuda") else "cpu"


def network(case: Case, device: torch.device) -> tuple[nn.Module, Tensor]:
    """Our network with random weights, and its input."""
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


def implementations_of(case: Case, net: nn.Module, forward: Callable, x: Tensor) -> dict[str, Callable]:
    """Name -> what makes a function of inputs such as x. On CUDA also the compiled network."""
    cuda = case.device.startswith("cuda")

    def half(f: Callable, dtype: torch.dtype, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype):
            return f(x)

    def halved(dtype: torch.dtype) -> Callable:
        """As in EditingPipeline, an encoder holds its weights in half precision."""
        if case.network == "generator":
            return partial(half, forward, dtype)
        return partial(half, hold_half(net if case.only else copy.deepcopy(net), dtype), dtype)

    def compiled() -> Callable:
        f = partial(half, torch.compile(forward, mode="reduce-overhead"), torch.bfloat16)
        for _ in range(3):  # compiles, then records the CUDA graph
            f(x)
        return f

    made = {"lwgan": lambda: forward, "lwgan bf16": partial(halved, torch.bfloat16)}
    if cuda:
        made |= {"lwgan fp16": partial(halved, torch.float16), "lwgan bf16 compiled": compiled}
    for name, make in PEERS[case.network].items():
        folder = Path(case.peers or "") / peers.FOLDERS[name]
        if case.peers and folder.exists():
            made[name] = partial(make, net, folder)
            if name == "NVIDIA" and cuda:
                made["NVIDIA fp16"] = partial(make, net, folder, half=True)
    return made


def timed(f: Callable, device: torch.device) -> tuple[float, float]:
    """CPU seconds of this process (all threads) and seconds of wall time of one call."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    cpu, wall = time.process_time(), time.perf_counter()
    f()
    wait()
    return time.process_time() - cpu, time.perf_counter() - wall


def matrix_rate(device: torch.device, clock: str, side: int = 2048) -> float:
    """GFLOP/s of this machine's float32 matrix product, about the most that a convolution can reach."""
    a = torch.randn(side, side, device=device)
    seconds = min(timed(lambda: a @ a, device)[("cpu", "wall").index(clock)] for _ in range(5))
    return 2 * side**3 / seconds / 1e9


def reset_peak(device: torch.device) -> None:
    """`peak_memory` counts from here, beginning with what is in use now. On CPUs only Linux can do this."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # glibc would keep most memory of the copied network
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif (marks := Path("/proc/self/clear_refs")).exists():
        marks.write_text("5")  # proc(5): resets the peak of resident memory


def peak_memory(device: torch.device) -> float:
    """GB (10^9 bytes), the peak since `reset_peak`: of the process (Linux), or of torch's memory on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status").read_text()  # getrusage would include the parent's memory at the fork
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def report(rows: list[dict], options, device: str, machine: str) -> str:
    """The table, with the command, the machine and what the columns mean."""
    lists = ("batches", "threads") if options.network == "encoder" else ("sizes", "batches", "threads")
    words = [f"--{name} {' '.join(map(str, getattr(options, name)))}" for name in lists]
    words += [f"--turns {options.turns}"]
    words += ["--peers PEERS"] * bool(options.peers)
    words += [f"--device {options.device}"] * (options.device != "auto")
    clock, names = clock_of(device), dict.fromkeys(row["name"] for row in rows)
    facts = [machine, f"torch {torch.__version__}"]
    facts += [torch.cuda.get_device_name()] if device.startswith("cuda") else []
    known = [name for name in names if name in peers.FOLDERS]
    facts += [f"{name} {peers.revision(options.peers / peers.FOLDERS[name])}" for name in known]
    return TABLE.format(
        network=options.network, words=" ".join(words), facts=", ".join(facts), clock=clock,
        reference=reference_of(names, options.network),
    ) + "".join(_line(row, rows, clock) for row in rows)  # fmt: skip


def _line(row: dict, rows: list[dict], clock: str) -> str:
    case = row["case"]
    ours = next(other[clock] for other in rows if other["case"] == case and other["name"] == "lwgan")
    cells = [case.size, case.batch, case.threads, row["name"], f"{row['cpu']:.3f}", f"{row['wall']:.3f}"]
    cells += [f"{row[clock] / ours:.2f}", f"{row['peak']:.2f}", f"{row['error']:.2e}"]
    return f"| {' | '.join(map(str, cells))} | {row['gflops']:.0f} ({row['sgemm']:.0f}) |\n"


if __name__ == "__main__":
    print(json.dumps(run_case(Case(**json.loads(sys.argv[1])))))
