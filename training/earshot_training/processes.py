"""The processes of a run: torchrun's group, sums and copies over it; alone they change nothing.

The process group is looked up at every call: a module that looked it up when it was built would
never synchronise when it was built before the group.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def is_one_of_many() -> bool:
    """Whether torchrun started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


def join_processes(device_type: str) -> torch.device:
    """Join the group of the processes that torchrun started; returns this one's device.

    Each process of a machine takes the card of its local rank. Cards exchange by NCCL, processors
    by gloo.
    """
    if device_type == "cpu":
        dist.init_process_group("gloo")
        return torch.device("cpu")
    device = torch.device("cuda", dist.get_node_local_rank())
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    return device


def leave_processes() -> None:
    """Leave the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def num_processes() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """Which of them this is; 0 without a process group."""
    return dist.get_rank() if num_processes() > 1 else 0


def is_first_process() -> bool:
    """Whether this is the process that writes files and speaks."""
    return process_rank() == 0


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Add the tensors of all processes, in place; returns the tensor."""
    if num_processes() > 1:
        dist.all_reduce(tensor)
    return tensor


def copy_from_first(tensor: Tensor) -> Tensor:
    """Overwrite the tensor with that of process 0, in place; returns the tensor."""
    if num_processes() > 1:
        dist.broadcast(tensor, src=0)
    return tensor


def gather_rows(rows: Tensor) -> Tensor:
    """(M, D) on each process, M of its own -> (sum of M, D) on every process, by rank."""
    if num_processes() == 1:
        return rows
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(num_processes())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    longest = max(int(count) for count in counts)
    padded = rows.new_zeros(longest, *rows.shape[1:])
    padded[: len(rows)] = rows
    gathered = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(gathered, padded)
    return torch.cat([part[: int(count)] for part, count in zip(gathered, counts, strict=True)])
