"""One resumable training loop for every stage: alignment, quantiser, transformers, length predictor.

A run is a folder. It can be stopped at any time (Ctrl-C, SIGTERM, a time budget) and continued by the same call. Batches and all random
choices are functions of (seed, step), so that a resumed run on CPU equals an uninterrupted one bit for bit; with `max_minutes` the learning
rate also follows the clock, and only the counted-in-steps part of that promise remains.
"""

import hashlib
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mate.errors import MateError
from mate.files import atomic_folder

LossFn = Callable[[Any, Any, torch.Generator], dict[str, Tensor]]
"""(module, batch, generator) -> named losses. Their sum is minimised; entries without gradient are only logged."""

# These may change between two calls that continue one run.
_FREE = ("max_minutes", "checkpoint_steps", "checkpoint_minutes", "log_steps", "device")


@dataclass(frozen=True)
class TrainConfig:
    """How a module is trained.

    Attributes:
        steps: optimiser steps of the whole run.
        lr: the highest learning rate, reached after the warm-up.
        final_lr: the learning rate at the end, as a fraction of `lr` (cosine in between).
        warmup: steps of linear warm-up.
        betas: of AdamW.
        weight_decay: of AdamW, on matrices only (biases, gains and embeddings of one dimension are left alone).
        clip: largest norm of the gradient; 0 switches clipping off.
        ema: decay of the averaged weights that the run returns; 0 returns the last weights.
        bf16: autocast the forward pass to bfloat16, where the processor computes in it (`autocast`). Weights, optimiser and losses stay
            in float32.
        seed: of batches, dropout and every other random choice.
        max_minutes: the run ends by the clock after this much training time (summed over resumed calls), if `steps` are not reached
            before; the learning rate follows whichever fraction, of steps or of time, is further. None: steps only.
        checkpoint_steps: checkpoint every so many steps; 0: by time only.
        checkpoint_minutes: checkpoint after so many minutes.
        log_steps: losses are averaged and logged over so many steps.
        device: "cpu", "cuda", ...: where to train. Under `accelerate launch` every process takes its own device.
    """

    steps: int = 10_000
    lr: float = 2e-4
    final_lr: float = 0.02
    warmup: int = 200
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    bf16: bool = False
    seed: int = 0
    max_minutes: float | None = None
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 5.0
    log_steps: int = 25
    device: str = "cpu"


@dataclass(frozen=True)
class TrainReport:
    """What a run did: steps made, seconds of training over all calls, mean named losses over the last logged interval."""

    steps: int
    seconds: float
    losses: dict[str, float]


def mix_seed(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and names: distinct parts give unrelated seeds."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def lr_factor(config: TrainConfig, step: int, fraction: float) -> float:
    """The learning rate relative to `config.lr`: linear warm-up, then a cosine to `final_lr` over `fraction` in [0, 1] of the run."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    return warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction))))


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices, which decay, and the rest, which do not."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


class _Average:
    """An exponential moving average of the trainable parameters."""

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.names = [name for name, p in module.named_parameters() if p.requires_grad]
        self.live = [p for p in module.parameters() if p.requires_grad]
        self.shadow = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))  # the first weights are random: forget them fast
        for shadow, p in zip(self.shadow, self.live, strict=True):
            shadow.lerp_(p.detach(), 1 - decay)

    def state(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.shadow, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        for name, shadow in zip(self.names, self.shadow, strict=True):
            shadow.copy_(state[name])

    @torch.no_grad()
    def apply(self) -> None:
        for p, shadow in zip(self.live, self.shadow, strict=True):
            p.copy_(shadow)


class _Stop:
    """True once SIGINT or SIGTERM came: the step in progress is finished and a checkpoint written first."""

    def __init__(self) -> None:
        self.signal = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, _frame: object) -> None:
            if self.signal:  # the second time at once
                raise KeyboardInterrupt
            self.signal = number

        old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def _fingerprint(module: nn.Module, config: TrainConfig) -> dict[str, Any]:
    settings = {key: value for key, value in asdict(config).items() if key not in _FREE}
    shapes = sorted((name, list(tensor.shape)) for name, tensor in module.state_dict().items())
    return {
        "config": json.loads(json.dumps(settings)),
        "weights": hashlib.sha256(json.dumps(shapes).encode()).hexdigest(),
    }


def _save(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: _Average | None, state: dict[str, Any]
) -> None:
    from safetensors.torch import save_file, save_model

    with atomic_folder(folder) as tmp:
        save_model(module, str(tmp / "model.safetensors"))
        if average is not None:
            save_file(
                {name: tensor.contiguous() for name, tensor in average.state().items()}, tmp / "average.safetensors"
            )
        torch.save(optimizer.state_dict(), tmp / "optimizer.pt")
        (tmp / "state.json").write_text(json.dumps(state, indent=1))


def _load(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: _Average | None,
    fingerprint: dict[str, Any],
) -> dict[str, Any]:
    from safetensors.torch import load_file, load_model

    state = json.loads((folder / "state.json").read_text())
    if state["fingerprint"] != fingerprint:
        old, new = state["fingerprint"]["config"], fingerprint["config"]
        changed = ", ".join(f"{key}: {old.get(key)} -> {new.get(key)}" for key in new if old.get(key) != new.get(key))
        raise MateError(
            f"{folder} holds a run with other settings ({changed or 'another model'}); repeat the command that started it, "
            "or choose another output folder"
        )
    device = next(module.parameters()).device
    load_model(module, str(folder / "model.safetensors"), strict=True, device=str(device))
    if average is not None:
        average.load(load_file(folder / "average.safetensors", device=str(device)))
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=device, weights_only=True))
    return state


def train(
    module: nn.Module,
    batch: Callable[[int], Any],
    loss_fn: LossFn,
    out: str | Path,
    config: TrainConfig,
    *,
    name: str = "training",
    groups: list[dict[str, Any]] | None = None,
    quiet: bool = False,
) -> TrainReport:
    """Trains `module` in place and returns what was done; the module ends with the averaged weights if `config.ema` is set.

    Args:
        module: in train mode during the loop, in eval mode afterwards. A frozen sub-module must pin its own eval mode.
        batch: batch number -> batch (tensors in lists, tuples, dicts or dataclasses with `to`). Must be a pure function of the number;
            process r of W draws the numbers step * W + r.
        loss_fn: see `LossFn`. Entries that carry gradient are summed once; calls `module(...)` so that DDP sees the forward pass.
        out: the run's folder: `checkpoint/` and `logs/` (tensorboard) appear in it.
        config: see `TrainConfig`.
        name: shown beside the progress bar.
        groups: parameter groups for AdamW instead of `parameter_groups(module, config.weight_decay)`.
        quiet: no progress output.

    Raises:
        MateError: `out` holds a run with other settings, or the loss became NaN or infinite.
        KeyboardInterrupt: stopped by SIGINT or SIGTERM, after a checkpoint was written.
    """
    from accelerate import Accelerator
    from torch.utils.tensorboard import SummaryWriter

    out = Path(out)
    accelerator = Accelerator(cpu=config.device == "cpu")
    optimizer = torch.optim.AdamW(
        groups or parameter_groups(module, config.weight_decay), lr=config.lr, betas=config.betas
    )
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    wrapped, optimizer = accelerator.prepare(module, optimizer)
    device = accelerator.device
    average = _Average(module, config.ema) if config.ema else None
    checkpoint, fingerprint = out / "checkpoint", _fingerprint(module, config)
    step, seconds, losses = 0, 0.0, {}
    if (checkpoint / "state.json").exists():
        state = _load(checkpoint, module, optimizer, average, fingerprint)
        step, seconds, losses = state["step"], state["seconds"], state["losses"]

    main = accelerator.is_main_process
    writer = SummaryWriter(str(out / "logs"), purge_step=step) if main else None
    stop, begun, saved = _Stop(), time.monotonic() - seconds, time.monotonic()
    sums: dict[str, float] = {}
    counted = 0

    def save() -> None:
        if main:
            state = {"step": step, "seconds": time.monotonic() - begun, "losses": losses, "fingerprint": fingerprint}
            _save(checkpoint, accelerator.unwrap_model(wrapped), optimizer, average, state)

    def fraction() -> float:
        by_time = (time.monotonic() - begun) / (60 * config.max_minutes) if config.max_minutes else 0.0
        return max(step / config.steps, by_time)

    trainable = [p for group in optimizer.param_groups for p in group["params"]]
    devices = [device] if device.type == "cuda" else []
    wrapped.train()
    # Dropout reads the global generator: it is seeded by (seed, step) inside the fork, and the caller's state comes back afterwards.
    with torch.random.fork_rng(devices), stop.listening(), _Progress(name, config.steps, quiet or not main) as progress:
        while step < config.steps and (done := fraction()) < 1.0:
            number = step * accelerator.num_processes + accelerator.process_index
            torch.manual_seed(mix_seed(config.seed, "step", number))
            generator = torch.Generator(device).manual_seed(mix_seed(config.seed, "loss", number))
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * lr_factor(config, step, done)
            with autocast(device, config.bf16):
                named = loss_fn(wrapped, _to(batch(number), device), generator)
            loss = torch.stack([value.float() for value in named.values() if value.requires_grad]).sum()
            if not torch.isfinite(loss):
                values = ", ".join(f"{key} {float(value.detach()):.3g}" for key, value in named.items())
                raise MateError(
                    f"{name}: the loss is not finite at step {step} ({values}); lower the learning rate and start again"
                )
            accelerator.backward(loss)
            if config.clip:
                accelerator.clip_grad_norm_(trainable, config.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if average is not None:
                average.update(step)
            step += 1
            counted += 1
            for key, value in named.items():
                sums[key] = sums.get(key, 0.0) + float(value.detach())
            if step % config.log_steps == 0 or step == config.steps:
                losses = {key: value / counted for key, value in sums.items()}
                sums, counted = {}, 0
                if writer is not None:
                    for key, value in losses.items():
                        writer.add_scalar(f"loss/{key}", value, step)
                    writer.add_scalar("lr", optimizer.param_groups[0]["lr"], step)
            progress.show(step, max(step / config.steps, done), losses)
            due = bool(config.checkpoint_steps) and step % config.checkpoint_steps == 0
            if due or time.monotonic() - saved > 60 * config.checkpoint_minutes:
                save()
                saved = time.monotonic()
            if stop.signal:
                break
    if writer is not None:
        writer.close()
    save()
    if stop.signal:
        print(f"{name}: stopped at step {step}; saved in {checkpoint}, the same command continues", file=sys.stderr)
        raise KeyboardInterrupt
    if average is not None:
        average.apply()
    module.eval()
    return TrainReport(step, time.monotonic() - begun, losses)


def autocast(device: torch.device | str, bf16: bool) -> torch.autocast:
    """A forward pass in bfloat16, if it is wanted and the processor has such instructions.

    Without them a bfloat16 matrix product is several times slower than one in float32, and less exact for nothing.
    """
    device = torch.device(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 and _computes_bf16(device))


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of PyTorch do not tell
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return True


def _to(batch: Any, device: torch.device) -> Any:
    if device.type == "cpu":
        return batch
    if isinstance(batch, list | tuple):
        return type(batch)(_to(part, device) for part in batch)
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    return batch.to(device) if hasattr(batch, "to") else batch


class _Progress:
    """A bar on standard error; in a log file, a line every half minute."""

    def __init__(self, name: str, steps: int, quiet: bool):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.name, self.steps, self.begun, self.first, self.printed = name, steps, time.monotonic(), -1, 0.0
        self.bar: Progress | None = None
        self.lines = not quiet and not console.is_terminal
        if not quiet and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bar = Progress(*columns, console=console)
            self.task = self.bar.add_task(name, total=1.0, note="")

    def __enter__(self) -> "_Progress":
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, step: int, done: float, losses: dict[str, float]) -> None:
        if self.first < 0:
            self.first, self.begun = step, time.monotonic()
        now = time.monotonic()
        if self.bar is None and not (self.lines and now - self.printed > 30):
            return
        rate = (step - self.first) / max(1e-9, now - self.begun)
        note = f"step {step}/{self.steps} {rate:.2f}/s " + " ".join(
            f"{key} {value:.4g}" for key, value in losses.items()
        )
        if self.bar is not None:
            self.bar.update(self.task, completed=done, note=note)
        else:
            self.printed = now
            print(f"{self.name}: {done:.0%} {note}", file=sys.stderr, flush=True)
