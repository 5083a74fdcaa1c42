"""Data-parallel training: one process a core, gradients averaged with gloo.

On CPUs two processes of one thread stay fast when the machine is shared; one process of two threads does not.
"""

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

KINDS = {"OSError": OSError, "ValueError": ValueError}


def launch(worker: Callable, processes: int, *args) -> None:
    """Runs worker(rank, processes, *args) in so many processes; in this one if it is one.
    OSError and ValueError of a worker are raised here again, in its words."""
    if processes == 1:
        worker(0, 1, *args)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            mp.spawn(_enter, (worker, processes, Path(folder) / "rendezvous", *args), nprocs=processes)
        except (mp.ProcessRaisedException, mp.ProcessExitedException) as error:
            if not (said := sorted(Path(folder).glob("error-*.json"))):
                raise
            kind, *words = json.loads(said[0].read_text())
            raise KINDS[kind](*words) from error


def _enter(rank: int, worker: Callable, processes: int, rendezvous: Path, *args) -> None:
    # When the parent dies, torch sends SIGINT to its children. Under nohup they inherit that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    dist.init_process_group("gloo", init_method=rendezvous.as_uri(), rank=rank, world_size=processes)
    try:
        worker(rank, processes, *args)
    except tuple(KINDS.values()) as error:
        kind = next(name for name, each in KINDS.items() if isinstance(error, each))
        words = [error.errno, error.strerror, error.filename] if getattr(error, "errno", 0) else [str(error)]
        rendezvous.with_name(f"error-{rank}.json").write_text(json.dumps([kind, *words], default=str))
        raise
    finally:
        dist.destroy_process_group()


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes, in one message."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    means = (flat / dist.get_world_size()).split([g.numel() for g in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def agree(flag: bool) -> bool:
    """The first process's flag, in every process: all stop at the same step."""
    if not dist.is_initialized():
        return flag
    vote = torch.tensor([int(flag)])
    dist.broadcast(vote, 0)
    return bool(vote.item())
