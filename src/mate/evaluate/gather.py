"""Evaluation in several processes: every process embeds its share, and all get all rows in their one order.

The figures are then computed from the same array as in a single process. (Gathering figures, or rows in the order in which processes
finish, is how texts and motions get mixed up.)
"""

import numpy as np

from mate.errors import MateError


def share(count: int, rank: int | None = None, world: int | None = None) -> np.ndarray:
    """The samples of this process: every `world`-th from `rank` on, (n,) indices. All of them when there is one process.

    Args:
        rank, world: by default those of torch.distributed where it was initialised (e.g. by accelerate).
    """
    if rank is None or world is None:
        rank, world = _place()
    return np.arange(rank, count, world)


def gather_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """All processes' rows, (count, ...) in the order of the samples, on every process.

    Args:
        rows: (n, ...) floats, this process's results, one for each sample of its `share(count)`, in that order. As many axes on every
            process; the sizes of an empty one do not matter.
        count: samples in all.

    Raises:
        MateError: not as many rows as the share has samples.
    """
    rank, world = _place()
    expected = len(share(count, rank, world))
    if len(rows) != expected:
        raise MateError(f"process {rank} of {world}: got {len(rows)} rows, expected {expected} of {count} samples")
    if world == 1:
        return np.asarray(rows)
    import torch
    from torch import distributed

    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    # A process without samples cannot know the rows' shape.
    sizes = torch.tensor(np.shape(rows)[1:] or (1,), device=device)
    distributed.all_reduce(sizes, distributed.ReduceOp.MAX)
    shape = tuple(sizes.tolist()) if np.ndim(rows) > 1 else ()
    # Shares differ by a row at most: all are sent at the same length, and in float64, which holds any float as it is.
    sent = torch.zeros((-(-count // world), *shape), dtype=torch.float64, device=device)
    if len(rows):
        sent[: len(rows)] = torch.from_numpy(np.asarray(rows, dtype=np.float64)).to(device)
    received = [torch.empty_like(sent) for _ in range(world)]
    distributed.all_gather(received, sent)
    result = np.empty((count, *shape), dtype=np.asarray(rows).dtype)
    for other, part in enumerate(received):
        places = share(count, other, world)
        result[places] = part[: len(places)].cpu().numpy()
    return result


def _place() -> tuple[int, int]:
    """The number of this process and of all processes."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
