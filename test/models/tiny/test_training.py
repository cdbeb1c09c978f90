import numpy as np
import pytest
import torch

from semantic_field_ros.models.tiny.clip import TinyClipConfig
from semantic_field_ros.models.tiny.load import load_tiny_clip, load_tiny_sam
from semantic_field_ros.models.tiny.mask_loss import balanced_cross_entropy, dice_loss, soft_iou
from semantic_field_ros.models.tiny.sam import TinySamConfig
from semantic_field_ros.models.tiny.train_clip import ClipRecipe, ClipTrainer, pair_loss
from semantic_field_ros.models.tiny.train_clip import train as train_clip
from semantic_field_ros.models.tiny.train_sam import SamRecipe, SamTrainer
from semantic_field_ros.models.tiny.train_sam import train as train_sam


def sam_trainer(store, **changes):
    sizes = {"encoder_batch": 2, "batch": 2, "encoder_prompts": 3, "prompts": 3}
    return SamTrainer(SamRecipe(**{**sizes, **changes}), store, TinySamConfig())


def test_both_phases_of_the_segmenter_step(store, tmp_path):
    trainer = sam_trainer(store, minutes=1.0, encoder_share=0.5)
    trainer.step()
    assert not trainer.progress.joint
    trainer.progress.spent_s = 31.0
    trainer.step()
    assert trainer.progress.joint
    assert np.isfinite(trainer.progress.averages["loss"])
    trainer.progress.spent_s = 59.999
    train_sam(trainer, tmp_path)
    segmenter = load_tiny_sam(tmp_path / "tiny_sam.safetensors")
    assert segmenter.embed(np.zeros((240, 320, 3), np.uint8)).shape == (96, 40, 40)


def test_a_run_that_starts_from_weights_goes_on_with_both_parts(store, tmp_path):
    first = sam_trainer(store)
    first.stop()
    train_sam(first, tmp_path)
    again = sam_trainer(store, start=str(tmp_path / "tiny_sam.safetensors"), seed=1)
    for ours, theirs in zip(again.model.parameters(), first.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)  # kept in half precision
    again.step()
    assert any(name.startswith("iou_") for name in again.progress.averages)
    assert "probe_iou" not in again.progress.averages


def test_a_stopped_run_continues_where_it_was(store, tmp_path):
    trainer = sam_trainer(store)
    trainer.step()
    trainer.stop()
    train_sam(trainer, tmp_path)
    again = sam_trainer(store)
    again.load(tmp_path)
    assert again.progress == trainer.progress and again.progress.step == 1
    for ours, theirs in zip(again.model.parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_language_model_steps_and_continues(store, tmp_path):
    trainer = ClipTrainer(ClipRecipe(minutes=1.0, batch=6), store, TinyClipConfig())
    trainer.spent_s = 59.999
    train_clip(trainer, tmp_path)
    assert trainer.step_count == 1 and np.isfinite(trainer.average["loss"])
    again = ClipTrainer(ClipRecipe(minutes=1.0, batch=6), store, TinyClipConfig())
    again.load(tmp_path)
    assert again.step_count == 1
    model = load_tiny_clip(tmp_path / "tiny_clip.safetensors")
    assert model.encode_text(["red mug"]).shape == (1, 96)


def test_the_language_model_starts_from_weights(store, tmp_path):
    first = ClipTrainer(ClipRecipe(batch=6), store, TinyClipConfig())
    first.export(tmp_path)
    weights = tmp_path / "tiny_clip.safetensors"
    again = ClipTrainer(ClipRecipe(batch=6, start=str(weights), seed=1), store, TinyClipConfig())
    for ours, theirs in zip(again.model.parameters(), first.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)  # kept in half precision
    first.tokenizer.kept = first.tokenizer.kept[1:]
    first.export(tmp_path)
    with pytest.raises(ValueError, match="other words"):
        ClipTrainer(ClipRecipe(start=str(weights)), store, TinyClipConfig())


def test_losses_by_hand():
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    sure = torch.tensor([[20.0, 20.0, -20.0, -20.0]])
    assert float(dice_loss(sure.sigmoid(), target)) == pytest.approx(0, abs=1e-4)
    assert float(balanced_cross_entropy(sure, target, 1.0)) == pytest.approx(0, abs=1e-4)
    assert float(soft_iou(torch.tensor([[1.0, -1.0, 1.0, -1.0]]), target)) == pytest.approx(1 / 3)


def test_balancing_weighs_a_small_inside_like_a_large_outside():
    target = torch.zeros(1, 101)
    target[0, 0] = 1
    logits = torch.zeros(1, 101)
    logits[0, 0] = -20
    even = float(balanced_cross_entropy(logits, target, 1.0))
    plain = float(balanced_cross_entropy(logits, target, 0.0))
    assert even == pytest.approx((20 + np.log(2)) / 2, rel=1e-3)
    assert plain == pytest.approx((20 + 100 * np.log(2)) / 101, rel=1e-3)


def test_pair_loss_is_least_where_generic_words_read_one_half():
    target, weight = torch.tensor([[1.0, 0.0, 0.5]]), torch.ones(1, 3)
    best = float(pair_loss(torch.tensor([[20.0, -20.0, 0.0]]), target, weight))
    assert best == pytest.approx(np.log(2), rel=1e-3)
    assert float(pair_loss(torch.tensor([[20.0, -20.0, 2.0]]), target, weight)) > best
