import numpy as np
import pytest

from semantic_field_ros.models.base import (
    DecodedMasks,
    DenseModel,
    EmbeddingLayout,
    Segmenter,
)
from semantic_field_ros.models.registry import (
    load_dense_model,
    load_language_model,
    load_segmenter,
    same_model,
)


class Everything(Segmenter):
    """A plug-in: all of the image is one thing."""

    def layout(self, image_size):
        return EmbeddingLayout(1, 1, (1, 1))

    def embed(self, image):
        return np.zeros((1, 1, 1), np.float16)

    def decode(self, embedding, image_size, prompts):
        whole = DecodedMasks(np.ones((1, *image_size), np.float32), np.ones(1, np.float32))
        return [whole for _ in prompts]

    def propose(self, embedding, image):
        return ()


class MeanColour(DenseModel):
    """A plug-in: the mean colour of each quarter of the image."""

    dim = 3

    def features(self, image):
        height, width = image.shape[:2]
        quarters = image.reshape(2, height // 2, 2, width // 2, 3)
        return quarters.mean(axis=(1, 3)).astype(np.float16)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    source = (tmp_path / "my_models.py").resolve()
    source.write_text(
        f"import sys\nthis = sys.modules[{__name__!r}]\n"
        "Everything, MeanColour, odd = this.Everything, this.MeanColour, int\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("sys").modules[__name__])
    return "my_models"


def test_plugins_are_found_by_module_and_class(plugin):
    assert isinstance(load_segmenter(f"{plugin}:Everything"), Everything)


def test_dense_models_are_plugins_only(plugin):
    model = load_dense_model(f"{plugin}:MeanColour")
    image = np.zeros((4, 8, 3), np.uint8)
    image[2:, 4:] = 8
    assert model.features(image)[:, :, 0].tolist() == [[0, 0], [0, 8]]
    with pytest.raises(ValueError, match="package.module:ClassName, got 'tiny'"):
        load_dense_model("tiny")
    with pytest.raises(TypeError, match="DenseModel"):
        load_dense_model(f"{plugin}:Everything")


def test_plugins_must_keep_the_contract(plugin):
    with pytest.raises(TypeError, match="LanguageModel"):
        load_language_model(f"{plugin}:Everything")
    with pytest.raises(TypeError, match="Segmenter"):
        load_segmenter(f"{plugin}:odd")
    with pytest.raises(ValueError, match="Missing"):
        load_segmenter(f"{plugin}:Missing")
    with pytest.raises(ValueError, match="no_such_module"):
        load_segmenter("no_such_module:Thing")


@pytest.mark.parametrize("spec", ["", "small", "vit_b", ":x"])
def test_unknown_names_are_refused_with_choices(spec):
    with pytest.raises(ValueError, match="tiny"):
        load_segmenter(spec)
    with pytest.raises(ValueError, match="tiny"):
        load_language_model(spec)


def test_segmenter_architecture_and_file_are_checked(tmp_path):
    with pytest.raises(ValueError, match="vit_b"):
        load_segmenter(f"vit_x:{tmp_path / 'none.pth'}")
    with pytest.raises(ValueError, match="no Segment Anything checkpoint"):
        load_segmenter(f"vit_b:{tmp_path / 'none.pth'}")
    with pytest.raises(ValueError, match="no Segment Anything checkpoint"):
        load_segmenter("vit_b:none")  # which could be a class


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("vit_b:/models/sam_b.pth", True),
        ("vit_b:sam_b.pth", True),
        ("vit_l:/models/sam_b.pth", False),
        ("vit_b:/models/sam_b_2.pth", False),
        ("tiny", False),
    ],
)
def test_a_model_is_the_same_wherever_its_checkpoint_lies(other, same):
    assert same_model("vit_b:/home/me/sam_b.pth", other) is same
