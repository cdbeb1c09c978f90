import functools

import numpy as np
import open_clip
import pytest
import torch

from semantic_field_ros.models.openclip import OpenClipModel, OpenClipParts, load_open_clip
from semantic_field_ros.models.registry import load_language_model

ARCHITECTURE = "ViT-S-32-alt"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("clip") / "random.pt"
    torch.save(open_clip.create_model(ARCHITECTURE).state_dict(), path)
    return path


def test_a_checkpoint_file_is_loaded(checkpoint):
    model = load_language_model(f"{ARCHITECTURE}:{checkpoint}")
    state = torch.load(checkpoint, weights_only=True)
    assert isinstance(model, OpenClipModel)
    assert model.dim == state["text_projection"].shape[1]
    assert model.crop_px == 224
    crops = [np.full((s, s, 3), 40 * s % 255, np.uint8) for s in (16, 224)]
    vectors, words = model.encode_crops(crops), model.encode_text(["red mug"])
    assert vectors.shape == (2, model.dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, atol=1e-5)


def test_unknown_names_are_refused_with_choices(tmp_path):
    with pytest.raises(ValueError, match="list_models"):
        load_open_clip("ViT-Z", str(tmp_path / "x.pt"))
    with pytest.raises(ValueError, match="laion2b_s34b_b88k"):
        load_open_clip("ViT-B-16", str(tmp_path / "missing.pt"))


@pytest.mark.parametrize("architecture", ["RN50", "convnext_base_w"])
def test_an_architecture_that_could_be_a_module_is_no_plugin(architecture):
    with pytest.raises(ValueError, match=f"no checkpoint file 'dream', and {architecture} has"):
        load_language_model(f"{architecture}:dream")


def test_checkpoints_are_found_at_home(checkpoint, monkeypatch):
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert isinstance(load_language_model(f"{ARCHITECTURE}:~/{checkpoint.name}"), OpenClipModel)


@pytest.mark.parametrize(
    ("tag", "activation"),
    [
        ("openai", open_clip.transformer.QuickGELU),
        ("metaclip_400m", open_clip.transformer.QuickGELU),
        ("laion2b_s34b_b79k", torch.nn.GELU),
    ],
)
def test_a_tag_gets_the_activation_that_its_weights_were_trained_with(
    tag, activation, monkeypatch, tmp_path
):
    """The weights themselves are not downloaded."""
    create = functools.partial(open_clip.create_model_and_transforms, load_weights=False)
    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(tmp_path))
    model = load_open_clip("ViT-B-32", tag)
    assert type(model._parts.model.visual.transformer.resblocks[0].mlp.gelu) is activation


def tiny_parts():
    from semantic_field_ros.models.tiny.clip import (
        PrunedTokenizer,
        TinyClipConfig,
        build_tiny_clip,
        preprocess_config,
    )

    config = TinyClipConfig()
    tokenizer = PrunedTokenizer.of(["red mug", "a photo of a"], config.context)
    preprocess = open_clip.transform.image_transform_v2(preprocess_config(config), is_train=False)
    return OpenClipParts(build_tiny_clip(config, tokenizer.size), preprocess, tokenizer)


def test_batches_give_what_single_calls_give():
    model = OpenClipModel(tiny_parts(), batch=3)
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 255, (40, 40, 3), np.uint8) for _ in range(7)]
    together = model.encode_crops(crops)
    apart = np.concatenate([model.encode_crops([crop]) for crop in crops])
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_nothing_gives_nothing():
    model = OpenClipModel(tiny_parts())
    assert model.encode_crops([]).shape == (0, model.dim)
    assert model.encode_text([]).shape == (0, model.dim)


def test_bad_input_is_refused():
    model = OpenClipModel(tiny_parts())
    with pytest.raises(ValueError, match="uint8"):
        model.encode_crops([np.zeros((8, 8, 3), np.float32)])
    with pytest.raises(ValueError, match="empty"):
        model.encode_text(["mug", "  "])


def test_case_and_spaces_do_not_matter():
    words = OpenClipModel(tiny_parts()).encode_text(["red mug", "  Red   MUG "])
    np.testing.assert_allclose(words[0], words[1], atol=1e-6)
