"""Trains the bundled segmenter on pictures of the built-in world.

    python -m semantic_field_ros.models.tiny.train_sam --data DATA --out RUN --minutes 100

First the encoder alone, through a cheap head that turns the embedding at a click into a mask; then
encoder and Segment Anything's decoder together, with one click, corrected clicks or a box. The
schedule runs by the clock, so that it ends on time whatever else the machine does; `--resume`
continues a run that was stopped, `--start WEIGHTS` goes on from what another run made, encoder and
decoder together. Towards the end pictures look more and more like a camera's.
"""

from __future__ import annotations

import argparse
import logging
import math
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from semantic_field_ros.backends import torch_device
from semantic_field_ros.models.tiny.data import PictureStore
from semantic_field_ros.models.tiny.examples import SIZE, Example, draw_example
from semantic_field_ros.models.tiny.mask_loss import ClickProbe, mask_loss, soft_iou, soft_targets
from semantic_field_ros.models.tiny.prompts import PromptBatch
from semantic_field_ros.models.tiny.sam import TinySamConfig, build_tiny_sam, start_local
from semantic_field_ros.models.tiny.votes import vote_loss
from semantic_field_ros.models.tiny.weights_io import load_weights, save_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamRecipe:
    """How the segmenter is trained.

    Attributes:
        minutes: of wall clock, all in all.
        encoder_share: of the time, for the encoder alone.
        encoder_batch, encoder_prompts: pictures a step and clicks a picture while it is alone.
        batch, prompts: the same with the decoder.
        rate, joint_rate: peak learning rates of the two phases.
        vote_weight: of the votes' loss beside that of masks.
        export_every_s: seconds between exports.
        seed: of weights and drawing.
        threads: of torch on a CPU.
        start: weights to start from, without the encoder's time alone; empty = random ones.
    """

    minutes: float = 90.0
    encoder_share: float = 0.4
    encoder_batch: int = 8
    encoder_prompts: int = 12
    batch: int = 8
    prompts: int = 8
    rate: float = 2e-3
    joint_rate: float = 1e-3
    vote_weight: float = 1.0
    weight_decay: float = 0.02
    export_every_s: float = 300.0
    seed: int = 0
    threads: int = 1
    start: str = ""


@dataclass
class Progress:
    """What a run has behind it; survives a restart."""

    step: int = 0
    spent_s: float = 0.0
    pictures: int = 0
    joint: bool = False
    averages: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Updates a running mean over about 100 values."""
        self.averages[name] = 0.99 * self.averages.get(name, value) + 0.01 * value


class SamTrainer:
    """One segmenter, its pretraining head, their optimiser and the clock."""

    def __init__(self, recipe: SamRecipe, store: PictureStore, config: TinySamConfig) -> None:
        torch.manual_seed(recipe.seed)
        if recipe.start:
            recipe = replace(recipe, encoder_share=0.0)
        self.recipe, self.store, self.config = recipe, store, config
        self.device = torch_device()
        self.model: Sam = build_tiny_sam(config).to(self.device)
        if recipe.start:
            self.model.load_state_dict(load_weights(Path(recipe.start)))
        self.model.image_encoder.to(memory_format=torch.channels_last)
        self.probe = ClickProbe(config.dim).to(self.device)
        self.rng = np.random.default_rng(recipe.seed)
        self.progress = Progress(joint=bool(recipe.start))
        self.stopped = False
        modules = torch.nn.ModuleList([self.model, self.probe])
        matrices = [p for p in modules.parameters() if p.ndim > 1]
        vectors = [p for p in modules.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(
            groups,
            lr=recipe.rate,
            weight_decay=recipe.weight_decay,
        )

    def stop(self) -> None:
        """Lets `train` save and return after the present step."""
        self.stopped = True

    @property
    def share(self) -> float:
        """Of the time that is spent, [0, 1]."""
        return self.progress.spent_s / (60 * self.recipe.minutes)

    @property
    def _within(self) -> float:
        """Of the present phase that is spent, [0, 1]."""
        alone = self.recipe.encoder_share
        begin, end = (0.0, alone) if self.share < alone else (alone, 1.0)
        return min((self.share - begin) / max(end - begin, 1e-9), 1.0)

    @property
    def _power(self) -> float:
        """Balance of the cross-entropy: even at the start of a phase, lest all turns outside."""
        return 0.4 if self.recipe.start else max(1.0 - 1.5 * self._within, 0.4)

    def step(self) -> None:
        """One optimiser step of the phase that the clock is in."""
        started = time.monotonic()
        alone = self.share < self.recipe.encoder_share
        if not alone and not self.progress.joint:
            self._begin_joint()
        self._set_rate(alone)
        loss = self._encoder_loss() if alone else self._joint_loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimiser.step()
        self.progress.step += 1
        self.progress.note("loss", float(loss.detach()))
        self.progress.spent_s += time.monotonic() - started

    def _begin_joint(self) -> None:
        """Every output of the decoder starts from the one that pretraining has taught."""
        self.progress.joint = True
        first, *others = self.model.mask_decoder.output_hypernetworks_mlps
        for other in others:
            other.load_state_dict(first.state_dict())
        start_local(self.model)

    def _set_rate(self, alone: bool) -> None:
        """A short warm-up, then a cosine: to a fifth in the first phase, to zero in the second."""
        recipe, within = self.recipe, self._within
        peak, floor = (recipe.rate, 0.2) if alone else (recipe.joint_rate, 0.002)
        cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * within))
        for group in self.optimiser.param_groups:
            group["lr"] = peak * min(within / 0.03 + 0.02, 1.0) * cosine

    def _embed(self, examples: list[Example]) -> Tensor:
        images = torch.stack([example.image for example in examples]).to(self.device)
        images = (images - self.model.pixel_mean) / self.model.pixel_std
        images = functional.pad(images, (0, 0, 0, -SIZE[0] % 32))
        self.progress.pictures += len(examples)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.model.image_encoder(images.contiguous(memory_format=torch.channels_last))

    def _encoder_loss(self) -> Tensor:
        recipe = self.recipe
        examples = [
            draw_example(self.store, self.rng, recipe.encoder_prompts, "click")
            for _ in range(recipe.encoder_batch)
        ]
        embeddings = self._embed(examples).float()
        losses = []
        for embedding, example in zip(embeddings, examples, strict=True):
            votes, vote = self._vote(embedding, example)
            losses.append(vote + self._probe_loss(embedding, votes, example)[0])
        return torch.stack(losses).mean()

    def _vote(self, embedding: Tensor, example: Example) -> tuple[Tensor, Tensor]:
        """The votes of an f32 embedding and their loss."""
        votes = self.model.mask_decoder.votes(embedding)
        loss = vote_loss(votes, example.instance.to(self.device), example.objects.to(self.device))
        self.progress.note("vote", float(loss.detach()))
        return votes, self.recipe.vote_weight * loss

    def _probe_loss(
        self, embedding: Tensor, votes: Tensor, example: Example
    ) -> tuple[Tensor, Tensor]:
        """The cheap head's loss, and the decoder states it would like to see."""
        batch = example.prompts
        points = torch.from_numpy(batch.points_px[:, 0]).to(self.device)
        target = self._targets(example)
        logits, state = self.probe(self.model.mask_decoder, embedding, votes, points)
        logits = logits.flatten(1)
        self.progress.note("probe_iou", float(soft_iou(logits.detach(), target).mean()))
        return self._weighted(mask_loss(logits, target, self._power), batch), state.detach()

    def _targets(self, example: Example) -> Tensor:
        ids = torch.from_numpy(example.prompts.ids).to(self.device)
        return soft_targets(example.instance.to(self.device), ids).flatten(1)

    def _weighted(self, loss: Tensor, batch: PromptBatch) -> Tensor:
        weight = torch.from_numpy(batch.weight).to(self.device)
        return (loss * weight).sum() / weight.sum()

    def _joint_loss(self) -> Tensor:
        recipe = self.recipe
        kinds = self.rng.choice(["click", "corrected", "box"], recipe.batch, p=[0.7, 0.15, 0.15])
        examples = [
            draw_example(self.store, self.rng, recipe.prompts, str(k), self._within) for k in kinds
        ]
        embeddings = self._embed(examples)
        losses = []
        for embedding, example, kind in zip(embeddings, examples, kinds, strict=True):
            wanted = None
            votes, vote = self._vote(embedding.float(), example)
            losses.append(vote)
            if self._guidance > 0:
                probe, wanted = self._probe_loss(embedding.float(), votes, example)
                losses.append(0.3 * probe)
            seen = (embedding[None], votes)
            losses.append(self._decoder_loss(seen, example, str(kind), wanted))
        return torch.stack(losses).sum() / len(examples)

    @property
    def _guidance(self) -> float:
        """How much the cheap head still leads the decoder; for a third of the joint phase."""
        return 0.0 if self.recipe.start else max(1 - 3 * self._within, 0.0)

    def _decoder_loss(
        self, seen: tuple[Tensor, Tensor], example: Example, kind: str, wanted: Tensor | None
    ) -> Tensor:
        """Single output plus the best of the three, and the error of the predicted IoU.

        `seen` is the (1, C, h, w) embedding and its votes. Where `wanted` is given, the mask
        tokens are also drawn to these states.
        """
        batch, target = example.prompts, self._targets(example)[:, None]
        with torch.autocast(self.device.type, torch.bfloat16):
            masks, predicted, states = self._decode(*seen, batch)
        logits = masks.float().flatten(2)
        each = mask_loss(logits, target.expand_as(logits), self._power)
        iou = soft_iou(logits.detach(), target)
        self.progress.note(f"iou_{kind}", float(iou[:, 0].mean()))
        error = functional.mse_loss(predicted.float(), iou, reduction="none").mean(1)
        loss = each[:, 0] + each[:, 1:].min(1).values + 0.05 * each[:, 1:].mean(1) + error
        if wanted is not None:
            apart = (states.float() - wanted[:, None]).square().mean((1, 2))
            loss = loss + self._guidance * apart
        return self._weighted(loss, batch)

    def _decode(
        self, embedding: Tensor, votes: Tensor, batch: PromptBatch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks, predicted IoU, and the states of the mask tokens."""
        points_px, labels = (
            torch.from_numpy(a).to(self.device) for a in (batch.points_px, batch.labels)
        )
        boxes = None
        if batch.boxes_px is not None:
            boxes = torch.from_numpy(batch.boxes_px).to(self.device)
        points = None if boxes is not None else (points_px, labels)
        prompts, decoder = self.model.prompt_encoder, self.model.mask_decoder
        sparse, dense = prompts(points=points, boxes=boxes, masks=None)
        grid = embedding.shape[-2:]
        positions = prompts.get_dense_pe()[:, :, : grid[0], : grid[1]]
        source = embedding + dense[:1, :, : grid[0], : grid[1]]
        states, cells = decoder.attend(source, positions, sparse)
        near = decoder.nearness(sparse, positions)
        with torch.autocast(self.device.type, enabled=False):
            alike = decoder.alike(votes, positions, sparse)
        return *decoder.read(states, cells, near, alike), states[:, 1:]

    def save(self, folder: Path) -> None:
        """Writes what `--resume` needs, atomically."""
        state = {
            "model": self.model.state_dict(),
            "probe": self.probe.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
        }
        partial = folder / "sam.partial"
        torch.save(state, partial)
        partial.replace(folder / "sam.pt")

    def load(self, folder: Path) -> None:
        """Continues from what `save` wrote."""
        state = torch.load(folder / "sam.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.probe.load_state_dict(state["probe"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.rng = np.random.default_rng([self.recipe.seed, self.progress.step])


def train(trainer: SamTrainer, folder: Path) -> None:
    """Steps until the clock has run out; exports now and then and at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    exported_s = trainer.progress.spent_s
    while trainer.share < 1 and not trainer.stopped:
        trainer.step()
        progress = trainer.progress
        if progress.step % 100 == 0:
            trainer.store.refresh()
            averages = {name: round(value, 3) for name, value in progress.averages.items()}
            logger.info(
                "%.0f s, step %d, %d pictures: %s",
                progress.spent_s,
                progress.step,
                progress.pictures,
                averages,
            )
        if progress.spent_s - exported_s > trainer.recipe.export_every_s:
            exported_s = progress.spent_s
            trainer.save(folder)
            save_weights(folder / "tiny_sam.safetensors", trainer.model.state_dict())
    trainer.save(folder)
    save_weights(folder / "tiny_sam.safetensors", trainer.model.state_dict())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="what tiny.data wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=SamRecipe.minutes)
    parser.add_argument("--encoder-share", type=float, default=SamRecipe.encoder_share)
    parser.add_argument("--threads", type=int, default=SamRecipe.threads)
    parser.add_argument(
        "--rate", type=float, default=SamRecipe.joint_rate, help="of both together"
    )
    parser.add_argument("--start", default=SamRecipe.start, metavar="WEIGHTS")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    recipe = SamRecipe(
        minutes=options.minutes,
        encoder_share=options.encoder_share,
        joint_rate=options.rate,
        threads=options.threads,
        start=options.start,
    )
    trainer = SamTrainer(recipe, PictureStore(options.data / "train"), TinySamConfig())
    if options.resume and (options.out / "sam.pt").exists():
        trainer.load(options.out)
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    train(trainer, options.out)


if __name__ == "__main__":
    main()
