"""Trains the bundled language model on regions of the built-in world.

    python -m semantic_field_ros.models.tiny.train_clip --data DATA --out RUN --minutes 40

Every step asks a batch of regions about a table of phrases, near misses included: what is true
goes to 1, what is not to 0, and the generic words that queries compete with to one half, by a
sigmoid per pair (Zhai et al. 2023). Cosines against the generic words then read as probabilities.
A softmax over the "colour category" phrases ranks them. The schedule runs by the clock. `--resume`
continues a run that was stopped, `--start WEIGHTS` goes on from what another run made.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from semantic_field_ros.backends import torch_device
from semantic_field_ros.models.tiny.clip import (
    MEAN,
    STD,
    PrunedTokenizer,
    TinyClipConfig,
    build_tiny_clip,
)
from semantic_field_ros.models.tiny.data import PictureStore
from semantic_field_ros.models.tiny.phrases import every_word
from semantic_field_ros.models.tiny.regions import Region, name_of, region_stream
from semantic_field_ros.models.tiny.vocabulary import (
    SURFACES,
    UNSEEN,
    Pair,
    Table,
    draw_table,
    truth,
)
from semantic_field_ros.models.tiny.weights_io import load_weights, save_weights
from semantic_field_ros.stream.synthetic import CATEGORIES, COLOURS

logger = logging.getLogger(__name__)

SURFACE_WORDS = ("floor", "wall", "ceiling", "clutter", "tablecloth", "wooden", "marble", "stone")


@dataclass(frozen=True)
class ClipRecipe:
    """How the language model is trained.

    Attributes:
        minutes: of wall clock.
        batch: regions a step.
        rate: peak learning rate.
        ranking: weight of the softmax over "colour category" phrases.
        naming: weight of reading colour and category off the image vector.
        export_every_s: seconds between exports.
        seed: of weights and drawing.
        start: weights to start from; empty = random ones.
    """

    minutes: float = 40.0
    batch: int = 96
    rate: float = 2e-3
    weight_decay: float = 0.02
    ranking: float = 0.5
    naming: float = 0.5
    export_every_s: float = 300.0
    seed: int = 0
    start: str = ""


def pair_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Sigmoid cross-entropy of (N, P) pairs; what is true and what is not weigh the same."""
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    true, generic = target == 1, target == 0.5
    false = ~true & ~generic
    parts = [(loss * part).sum() / (weight * part).sum().clamp(min=1) for part in (true, false)]
    return parts[0] + parts[1] + (loss * generic).sum() / generic.sum().clamp(min=1)


def ranking_loss(logits: Tensor, target: Tensor, is_pair: Tensor) -> Tensor:
    """Softmax cross-entropy among the phrases that name colour and category."""
    logits, target = logits[:, is_pair], target[:, is_pair]
    rows = target.sum(1) == 1
    return functional.cross_entropy(logits[rows], target[rows].argmax(1))


class AttributeHeads(nn.Module):
    """Colour and category read off the image vector, each by itself. Training only.

    They teach the image tower long before the text tower has settled, and keep the two attributes
    apart in its vectors, so that pairs never seen together compose.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.categories = [*CATEGORIES, *sorted({name for _, name in SURFACES} - {*CATEGORIES})]
        self.colour = nn.Linear(dim, len(COLOURS))
        self.category = nn.Linear(dim, len(self.categories))

    def forward(self, seen: Tensor, things: list[Pair]) -> Tensor:
        """Cross-entropy of (N, D) vectors against N (colour, category) names."""
        colours = [COLOURS.index(c) if c in COLOURS else -100 for c, _ in things]
        categories = [self.categories.index(k) for _, k in things]
        targets = (torch.tensor(t, device=seen.device) for t in (colours, categories))
        heads = (self.colour, self.category)
        losses = [
            functional.cross_entropy(h(seen), t) for h, t in zip(heads, targets, strict=True)
        ]
        return losses[0] + losses[1]


class ClipTrainer:
    """One language model, its optimiser and the clock."""

    def __init__(self, recipe: ClipRecipe, store: PictureStore, config: TinyClipConfig) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.store, self.config = recipe, store, config
        self.device = torch_device()
        words = [*every_word(CATEGORIES, COLOURS), *SURFACE_WORDS]
        self.tokenizer = PrunedTokenizer.of(words, config.context)
        self.model = build_tiny_clip(config, self.tokenizer.size).to(self.device)
        if recipe.start:
            self._start_from(Path(recipe.start))
        self.model.visual.to(memory_format=torch.channels_last)
        self.namer = AttributeHeads(config.dim).to(self.device)
        self.parameters = [*self.model.parameters(), *self.namer.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.step_count, self.spent_s = 0, 0.0
        self.average: dict[str, float] = {}
        self._start(0)

    def _start(self, step: int) -> None:
        self.rng = np.random.default_rng([self.recipe.seed, step])
        self.regions: Iterator[Region] = region_stream(self.store, self.config.image_px, self.rng)

    def _start_from(self, weights: Path) -> None:
        state = load_weights(weights)
        if not np.array_equal(state.pop("vocabulary").numpy(), self.tokenizer.kept):
            raise ValueError(f"{weights} has other words than phrases.py; train without --start")
        self.model.load_state_dict(state)

    @property
    def share(self) -> float:
        """Of the time that is spent, [0, 1]."""
        return self.spent_s / (60 * self.recipe.minutes)

    def step(self) -> None:
        """One optimiser step."""
        started = time.monotonic()
        cosine = 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * min(self.share, 1)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * min(self.share / 0.02 + 0.02, 1) * cosine
        loss = self._loss(self._draw())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(math.log(5.0), math.log(20.0))
        self._note("loss", float(loss.detach()))
        self.step_count += 1
        self.spent_s += time.monotonic() - started

    def _draw(self) -> list[Region]:
        """A batch without the pairs that training never sees."""
        batch: list[Region] = []
        while len(batch) < self.recipe.batch:
            region = next(self.regions)
            if name_of(region.thing) not in UNSEEN:
                batch.append(region)
        return batch

    def _loss(self, batch: list[Region]) -> Tensor:
        things = [name_of(region.thing) for region in batch]
        table = draw_table(set(things), self.rng)
        target, weight = (torch.from_numpy(a).to(self.device) for a in truth(table, things))
        seen = self._see(batch)
        logits = self._logits(seen, table)
        is_pair = torch.from_numpy(table.is_pair).to(self.device)
        rows = target[:, is_pair].sum(1) == 1
        best = logits[:, is_pair].argmax(1)
        self._note("top1", float((best == target[:, is_pair].argmax(1))[rows].float().mean()))
        ranking = ranking_loss(logits, target, is_pair)
        naming = self.namer(seen, things)
        parts = (pair_loss(logits, target, weight), ranking, naming)
        for name, part in zip(("pairs", "ranking", "naming"), parts, strict=True):
            self._note(name, float(part.detach()))
        return parts[0] + self.recipe.ranking * ranking + self.recipe.naming * naming

    def _see(self, batch: list[Region]) -> Tensor:
        """(N, D) f32 image vectors, not normalised."""
        images = torch.from_numpy(np.stack([region.crop for region in batch])).to(self.device)
        mean, std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (MEAN, STD))
        images = (images.permute(0, 3, 1, 2) / 255.0 - mean) / std
        with torch.autocast(self.device.type, torch.bfloat16):
            seen = self.model.encode_image(images.contiguous(memory_format=torch.channels_last))
        return seen.float()

    def _logits(self, seen: Tensor, table: Table) -> Tensor:
        """(N, P) pair logits."""
        tokens = self.tokenizer(table.texts).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            read = self.model.encode_text(tokens)
        cosine = functional.normalize(seen) @ functional.normalize(read.float()).T
        return cosine * self.model.logit_scale.exp() + self.model.logit_bias

    def _note(self, name: str, value: float) -> None:
        self.average[name] = 0.98 * self.average.get(name, value) + 0.02 * value

    def export(self, folder: Path) -> None:
        """Writes the weights and the vocabulary as f16 safetensors."""
        state = dict(self.model.state_dict())
        state["vocabulary"] = torch.from_numpy(self.tokenizer.kept)
        save_weights(folder / "tiny_clip.safetensors", state)

    def save(self, folder: Path) -> None:
        """Writes what `--resume` needs, atomically."""
        state = {
            "model": self.model.state_dict(),
            "namer": self.namer.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": [self.step_count, self.spent_s],
        }
        torch.save(state, folder / "clip.partial")
        (folder / "clip.partial").replace(folder / "clip.pt")

    def load(self, folder: Path) -> None:
        """Continues from what `save` wrote."""
        state = torch.load(folder / "clip.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.namer.load_state_dict(state["namer"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step_count, self.spent_s = state["progress"]
        self._start(self.step_count)


def train(trainer: ClipTrainer, folder: Path) -> None:
    """Steps until the clock has run out; exports now and then and at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    exported_s = trainer.spent_s
    while trainer.share < 1:
        trainer.step()
        if trainer.step_count % 100 == 0:
            trainer.store.refresh()
            scale = float(trainer.model.logit_scale.detach().exp())
            means = {name: round(value, 3) for name, value in trainer.average.items()}
            logger.info(
                "%.0f s, step %d, scale %.1f: %s",
                trainer.spent_s,
                trainer.step_count,
                scale,
                means,
            )
        if trainer.spent_s - exported_s > trainer.recipe.export_every_s:
            exported_s = trainer.spent_s
            trainer.save(folder)
            trainer.export(folder)
    trainer.save(folder)
    trainer.export(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="what tiny.data wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=ClipRecipe.minutes)
    parser.add_argument("--rate", type=float, default=ClipRecipe.rate)
    parser.add_argument("--start", default=ClipRecipe.start, metavar="WEIGHTS")
    parser.add_argument("--seed", type=int, default=ClipRecipe.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    recipe = ClipRecipe(
        minutes=options.minutes, rate=options.rate, start=options.start, seed=options.seed
    )
    trainer = ClipTrainer(recipe, PictureStore(options.data / "train"), TinyClipConfig())
    if options.resume and (options.out / "clip.pt").exists():
        trainer.load(options.out)
    train(trainer, options.out)


if __name__ == "__main__":
    main()
