"""One training step at a time; no thread, no clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import Config
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.losses import (
    depth_band,
    depth_losses,
    distortion,
    haze,
    transparency,
)
from semantic_field_ros.field.radiance import Exposure
from semantic_field_ros.field.sampling import CALM_SHARE
from semantic_field_ros.field.scene import Rays, SceneField, Traced
from semantic_field_ros.field.table_adam import TableAdam
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import SemanticMethod
from semantic_field_ros.semantics.optimiser import rate_share
from semantic_field_ros.training.guided import GuidedLook, sensor_edges
from semantic_field_ros.types import RayBatch

logger = logging.getLogger(__name__)

#: pull of exposure gains to 1.
EXPOSURE_PULL = 0.05
EXPOSURE_RATE = 1e-3


@dataclass(frozen=True)
class Targets:
    """Some of a batch's rays, on the field's device.

    Attributes:
        rays: R of them.
        rgb: (R, 3) f32 in [0, 1].
        depth_m: (R,) f32.
        slot: (R,) i64 in the replay memory.
    """

    rays: Rays
    rgb: torch.Tensor
    depth_m: torch.Tensor
    slot: torch.Tensor


@dataclass
class _Spent:
    """Time that steps took."""

    steps: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.steps += 1
        self.seconds += seconds

    def mean_ms(self) -> float:
        return 1e3 * self.seconds / self.steps


class Trainer:
    """Fits a field, and the semantic methods on it, to what the replay memory holds.

    Args:
        config: the whole tree.
        memory: where rays come from.
        bounds: of the scene.
        methods: semantic methods by name, each trained every so many steps as it says.
    """

    def __init__(
        self,
        config: Config,
        memory: ReplayMemory,
        bounds: SceneBounds,
        methods: Mapping[str, SemanticMethod] | None = None,
    ) -> None:
        self.config, self.memory = config, memory
        self.methods = dict(methods or {})
        self.field = SceneField(config.field, bounds, config.training.seed)
        self.exposure = Exposure(config.keyframes.capacity).to(self.field.device)
        self._look = GuidedLook(self.field, config)
        self.steps = 0
        self._share = 1.0
        self._spent = {name: _Spent() for name in self.methods}
        self._born: dict[int, int] = {}
        self._slots: dict[int, int] = {}
        self._gains: dict[int, torch.Tensor] = {}
        self._rng = np.random.default_rng(config.training.seed)
        self._generator = torch.Generator(self.field.device).manual_seed(config.training.seed)
        self._make_optimisers()

    def _make_optimisers(self) -> None:
        training, radiance = self.config.training, self.field.radiance
        self._table = TableAdam(radiance.encoder.table, training.grid_learning_rate)
        mlps = [*radiance.trunk.parameters(), *radiance.shade.parameters()]
        self._rest = torch.optim.Adam(
            [
                {"params": mlps, "lr": training.mlp_learning_rate},
                {"params": self.exposure.parameters(), "lr": EXPOSURE_RATE},
            ],
            betas=(TableAdam.BETA1, TableAdam.BETA2),
            eps=1e-15,
        )
        self._rates = [group["lr"] for group in self._rest.param_groups]

    def add_keyframe(self, keyframe_id: int, slot: int) -> None:
        """News: a keyframe lies in the memory's `slot`; learning speeds up again.

        But one that came with `load_state` is as old as it was.
        """
        self._slots[keyframe_id] = slot
        self._born.setdefault(keyframe_id, self.steps)
        self.exposure.reset(slot, self._gains.pop(keyframe_id, None))

    def forget_keyframe(self, keyframe_id: int) -> None:
        """The memory evicted a keyframe."""
        for known in (self._born, self._slots, self._gains):
            known.pop(keyframe_id, None)
        for method in self.methods.values():
            method.forget(keyframe_id)

    def poses_changed(self, moved: Iterable[int]) -> None:
        """Keyframes have moved: they are as good as new, and methods start their views anew."""
        self._born |= {keyframe_id: self.steps for keyframe_id in moved}
        for method in self.methods.values():
            method.poses_changed()

    def step(self) -> dict[str, float]:
        """One step of geometry and colour and, now and then, one of each semantic method.

        Returns:
            Losses by name; "total" is the weighted sum of geometry and colour, and a method's are
            prefixed with its name.

        Raises:
            RuntimeError: the memory holds no keyframe.
        """
        self._set_rates()
        batch = self.memory.sample(self._ray_count(), self._rng)
        losses = self._losses(batch)
        weights = self._loss_weights()
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        total.backward()
        self._table.step()
        self._rest.step()
        self._rest.zero_grad()
        self.steps += 1
        summary = {name: float(loss.detach()) for name, loss in losses.items()}
        summary["total"] = float(total.detach())
        return summary | self._semantic_step()

    def _semantic_step(self) -> dict[str, float]:
        summary: dict[str, float] = {}
        for name, method in self.methods.items():
            if self.steps % method.every:
                continue
            start_s = time.perf_counter()
            losses = method.step(self._look.quadrature)
            if losses:
                self._spent[name].add(time.perf_counter() - start_s)
            summary |= {f"{name}/{key}": value for key, value in losses.items()}
        return summary

    def keyframe_ids(self) -> set[int]:
        """Keyframes that were added, or came with `load_state`, and not forgotten."""
        return set(self._born)

    def state(self) -> dict[str, torch.Tensor]:
        """How far training is: the age and exposure of K keyframes beside the number of steps."""
        ids = sorted(self._slots)
        slots = torch.tensor([self._slots[i] for i in ids], dtype=torch.int64)
        return {
            "steps": torch.tensor(self.steps),
            "ids": torch.tensor(ids, dtype=torch.int64),
            "born": torch.tensor([self._born[i] for i in ids], dtype=torch.int64),
            "log_gain": self.exposure.log_gain.detach()[slots].clone().cpu(),
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """The inverse of `state`; the keyframes are added afterwards.

        Raises:
            KeyError, ValueError: tensors are missing or do not fit each other.
        """
        ids, gains = state["ids"].tolist(), state["log_gain"]
        if tuple(gains.shape) != (len(ids), 3):
            raise ValueError(f"log_gain must be {(len(ids), 3)}, got {tuple(gains.shape)}")
        self.steps = int(state["steps"])
        self._born = dict(zip(ids, state["born"].tolist(), strict=True))
        self._gains = dict(zip(ids, gains, strict=True))

    def method_ms(self) -> dict[str, float]:
        """Mean milliseconds of a semantic method's step, by name, of those that took one."""
        return {name: spent.mean_ms() for name, spent in self._spent.items() if spent.steps}

    def shrink(self, share: float) -> None:
        """From now on a step, of geometry or of a method, has this share of its usual rays."""
        self._share = share
        for method in self.methods.values():
            method.share = share

    def _ray_count(self) -> int:
        return max(64, int(self.config.training.rays * self._share))

    def _set_rates(self) -> None:
        share = self.rate_share()
        self._table.learning_rate = self.config.training.grid_learning_rate * share
        for group, rate in zip(self._rest.param_groups, self._rates, strict=True):
            group["lr"] = rate * share

    def rate_share(self) -> float:
        """Share of the full learning rates, from the mean age of the keyframes in steps.

        It falls while training goes over the same keyframes again and again, and each new
        keyframe lifts it in proportion to how much of the memory it is.
        """
        if not self._born:
            return 1.0
        age = self.steps - float(np.mean(list(self._born.values())))
        return rate_share(age, self.config.training.settle_steps)

    def _losses(self, batch: RayBatch) -> dict[str, torch.Tensor]:
        measured = np.isfinite(batch.depth_m)
        bounds = self.field.bounds
        losses: dict[str, torch.Tensor] = {}
        error: list[torch.Tensor] = []
        if measured.any():
            targets = self._targets(batch, measured)
            traced = self._trace(targets.rays, sensor_edges(self.config, bounds, targets.depth_m))
            band = depth_band(self.config.training, targets.depth_m)
            losses |= depth_losses(traced, targets.depth_m, band)
            error.append(self._colour_error(traced, targets))
        if not measured.all():
            targets = self._targets(batch, ~measured)
            count = self.config.field.samples_without_depth
            edges = self.field.propose(targets.rays, count, self._generator)
            traced = self._trace(targets.rays, edges, CALM_SHARE * bounds.half_side_m)
            # As means over the whole batch: a few holes in a depth image must not rule it.
            share = float(np.mean(~measured))
            losses["transparency"] = transparency(traced.weights) * share
            losses["haze"] = haze(traced) * share
            losses["distortion"] = distortion(traced.weights, edges / bounds.half_side_m)
            error.append(self._colour_error(traced, targets))
        losses["colour"] = torch.cat(error).mean()
        losses["exposure"] = (self.exposure.log_gain**2).mean()
        return losses

    def _trace(self, rays: Rays, edges: torch.Tensor, calm_m: float = 0.0) -> Traced:
        traced = self.field.trace(rays, edges, self._generator, calm_m)
        points = traced.samples.points.reshape(-1, 3)
        self.field.occupancy.update(points, traced.density.reshape(-1))
        return traced

    def _colour_error(self, traced: Traced, targets: Targets) -> torch.Tensor:
        return (self.exposure(traced.colour, targets.slot) - targets.rgb) ** 2

    def _loss_weights(self) -> dict[str, float]:
        training = self.config.training
        return {
            "colour": 1.0,
            "depth": training.depth_weight,
            "empty": training.empty_weight,
            "surface": training.surface_weight,
            "transparency": training.transparency_weight,
            "haze": training.haze_weight * self.rate_share(),
            "distortion": training.distortion_weight,
            "exposure": EXPOSURE_PULL,
        }

    def _targets(self, batch: RayBatch, which: NDArray[np.bool_]) -> Targets:
        device = self.field.device
        return Targets(
            Rays.on(device, batch.origins[which], batch.directions[which]),
            torch.from_numpy(batch.rgb[which]).to(device),
            torch.from_numpy(batch.depth_m[which]).to(device),
            torch.from_numpy(batch.keyframe_index[which]).to(device),
        )
