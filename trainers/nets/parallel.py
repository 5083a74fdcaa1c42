"""Data-parallel training (DistributedDataParallel) in processes that torchrun starts, one a GPU or a core.

    python -m trainers generator --processes 2 --data ...              # calls torchrun's launcher
    torchrun --nproc-per-node 8 -m -- trainers generator --data ...    # several GPUs, or machines

On CPUs two processes of one thread stay fast when the machine is shared; one process of two threads does not.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import BaseContext

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

KINDS = {"OSError": OSError, "ValueError": ValueError}  # errors that a user is told in words


def starter(module: str) -> BaseContext:
    """Starts processes as copies of one that has imported the module, in a tenth of the time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module, "torch._dynamo"])  # which optimizers import
    return context


def launch(train: Callable, processes: int, *args) -> None:
    """Runs train(*args) in so many processes. In this one if it is one, or if torchrun has started it.
    OSError and ValueError of a process are raised here again, in its words."""
    if dist.is_torchelastic_launched():
        _joined(train, *args)
    elif processes == 1:
        train(*args)
    else:
        method = starter(train.__module__).get_start_method()
        config = LaunchConfig(1, 1, processes, run_id="lwgan", max_restarts=0, rdzv_backend="c10d",
                              rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1",
                              start_method=method)  # fmt: skip
        logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # errors are raised below
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of unused parameters at every start
        try:
            elastic_launch(config, _joined)(train, *args)
        except ChildFailedError as error:
            for failure in error.failures.values():
                said = failure.message  # words alone if a signal ended the process
                kind, _, words = said["message"].partition(": ") if isinstance(said, dict) else ("", "", said)
                if kind in KINDS:
                    raise KINDS[kind](words) from error
            raise


def _joined(train: Callable, *args) -> None:
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // here))
    if here == everywhere:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if cuda := torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    dist.barrier()  # who fails now is no lost connection to others
    try:
        train(*args)
    except OSError as error:  # torchrun passes on the name of the class and the words
        raise OSError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except ValueError as error:
        raise ValueError(str(error)) from error
    dist.destroy_process_group()


def place() -> tuple[int, int]:
    """The number of this process among those that train together, and how many these are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def number(processes: int) -> int:
    """How many processes will train: those that torchrun has started, else `processes`."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else processes


def is_first() -> bool:
    """Whether this process is the one that writes, also before the processes have joined."""
    return not dist.is_torchelastic_launched() or os.environ["RANK"] == "0"


def shared(forward: Callable, *nets: nn.Module, unused: bool = False) -> Callable:
    """A function that runs nets forward, such that their gradients become the means over the processes. Of
    each call's result one backward pass may be made.

    unused: whether parameters may get no gradient in some steps."""
    if not dist.is_initialized():
        return forward
    return DistributedDataParallel(Forward(forward, nets), find_unused_parameters=unused)


class Forward(nn.Module):
    """A function and the nets that it runs, as one module."""

    def __init__(self, function: Callable, nets: tuple[nn.Module, ...]):
        super().__init__()
        self.function, self.nets = function, nn.ModuleList(nets)

    def forward(self, *args):
        return self.function(*args)


def agree(flag: bool) -> bool:
    """The first process's flag, in every process: all stop at the same step."""
    if not dist.is_initialized():
        return flag
    vote = torch.tensor([int(flag)])
    dist.broadcast(vote, 0)
    return bool(vote.item())
