from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from semantic_field_ros.models.base import Prompts
from semantic_field_ros.models.registry import load_segmenter
from semantic_field_ros.models.sam_pyramid import encode_pyramid
from semantic_field_ros.models.segment_anything import SamSegmenter
from semantic_field_ros.models.tiny.load import TinySegmenter
from semantic_field_ros.models.tiny.sam import build_tiny_sam

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def official_in_small(side=128, dim=32):
    """The official architecture with few channels."""
    torch.manual_seed(0)
    grid = side // 16
    encoder = ImageEncoderViT(
        img_size=side, embed_dim=48, depth=1, num_heads=2, out_chans=dim,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), window_size=4,
    )  # fmt: skip
    prompts = PromptEncoder(
        embed_dim=dim,
        image_embedding_size=(grid, grid),
        input_image_size=(side, side),
        mask_in_chans=8,
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=2, mlp_dim=32)
    return Sam(encoder, prompts, MaskDecoder(transformer_dim=dim, transformer=transformer))


@pytest.fixture(params=["official", "tiny"])
def segmenter(request):
    if request.param == "official":
        return SamSegmenter(official_in_small(), prompts_per_batch=3)
    torch.manual_seed(0)
    return TinySegmenter(build_tiny_sam(), prompts_per_batch=3, skip_padding=True)


def test_embedding_has_the_layout_it_says(segmenter):
    layout = segmenter.layout(IMAGE.shape[:2])
    embedding = segmenter.embed(IMAGE)
    assert embedding.shape == (layout.channels, layout.side, layout.side)
    assert embedding.dtype == np.float16 and np.isfinite(embedding).all()
    assert layout.valid == (layout.side * 3 // 4, layout.side)


def test_a_click_gets_several_masks_best_first(segmenter):
    (answer,) = segmenter.decode(segmenter.embed(IMAGE), (48, 64), [Prompts.click(20, 10)])
    assert answer.logits.shape == (3, 48, 64) and answer.logits.dtype == np.float32
    assert (np.diff(answer.scores) <= 0).all()


def test_more_than_a_click_gets_one_mask(segmenter):
    points = np.array([[20, 10], [40, 30]], np.float32)
    prompts = [
        Prompts(points, np.array([True, False])),
        Prompts(points[:0], np.zeros(0, bool), np.array([5, 5, 30, 30], np.float32)),
        Prompts(points[:1], np.array([True]), np.array([5, 5, 30, 30], np.float32)),
    ]
    answers = segmenter.decode(segmenter.embed(IMAGE), (48, 64), prompts)
    assert [a.logits.shape for a in answers] == [(1, 48, 64)] * 3


def test_many_prompts_at_once_answer_as_each_alone(segmenter):
    embedding = segmenter.embed(IMAGE)
    box = np.array([5, 5, 30, 30], np.float32)
    prompts = [Prompts.click(u, 10) for u in (3, 20, 33, 50)]
    prompts.insert(2, Prompts(np.zeros((0, 2), np.float32), np.zeros(0, bool), box))
    together = segmenter.decode(embedding, (48, 64), prompts)
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = segmenter.decode(embedding, (48, 64), [prompt])
        np.testing.assert_allclose(answer.logits, alone.logits, atol=1e-3)
        np.testing.assert_allclose(answer.scores, alone.scores, atol=1e-4)


def test_no_prompts_no_answers(segmenter):
    assert segmenter.decode(segmenter.embed(IMAGE), (48, 64), []) == []


def test_proposals_fit_the_image_and_repeat(segmenter):
    embedding = segmenter.embed(IMAGE)
    first, second = (segmenter.propose(embedding, IMAGE) for _ in range(2))
    assert [p.box_px for p in first] == [p.box_px for p in second]
    assert all(p.shape == (48, 64) for p in first)


def test_bad_input_is_refused(segmenter):
    with pytest.raises(ValueError, match="uint8"):
        segmenter.embed(IMAGE.astype(np.float32))
    with pytest.raises(ValueError, match="embedding must be"):
        segmenter.decode(np.zeros((1, 2, 2), np.float16), (48, 64), [Prompts.click(1, 1)])


def test_portrait_images_fill_the_other_side(segmenter):
    layout = segmenter.layout((64, 48))
    assert layout.valid == (layout.side, layout.side * 3 // 4)
    embedding = segmenter.embed(np.ascontiguousarray(IMAGE.transpose(1, 0, 2)))
    (answer,) = segmenter.decode(embedding, (64, 48), [Prompts.click(10, 20)])
    assert answer.logits.shape[1:] == (64, 48)


def test_the_official_decoder_answers_as_its_own_predictor_does():
    from segment_anything import SamPredictor

    model = official_in_small()
    predictor = SamPredictor(model)
    predictor.set_image(IMAGE)
    _, scores, low = predictor.predict(np.array([[20, 10]]), np.array([1]))
    segmenter = SamSegmenter(model)
    ours, quality = segmenter.decode_low(
        segmenter.embed(IMAGE), (48, 64), [Prompts.click(20, 10)], several=True
    )
    np.testing.assert_allclose(ours[0].numpy(), low, atol=0.02 * np.abs(low).max())
    np.testing.assert_allclose(quality[0].numpy(), scores, atol=0.02)


def test_a_negative_point_reaches_the_decoder_as_the_official_predictor_has_it():
    from segment_anything import SamPredictor

    model = official_in_small()
    encoded: list[torch.Tensor] = []
    model.prompt_encoder.register_forward_hook(lambda *call: encoded.append(call[-1][0]))
    predictor, segmenter = SamPredictor(model), SamSegmenter(model)
    predictor.set_image(IMAGE)
    embedding, points = segmenter.embed(IMAGE), np.array([[20, 10], [40, 30]])
    answers = []
    for labels in ([1, 1], [1, 0], [0, 1]):
        predictor.predict(points, np.array(labels), multimask_output=False)
        prompt = Prompts(points.astype(np.float32), np.array(labels, np.bool_))
        answers += segmenter.decode(embedding, (48, 64), [prompt])
    theirs, ours = encoded[::2], [batch[:1] for batch in encoded[1::2]]
    torch.testing.assert_close(ours, theirs)
    # One vector for what is wanted and one for what is not are added to those of the places.
    unwanted, wanted = (
        label.weight[0].detach() for label in model.prompt_encoder.point_embeddings[:2]
    )
    torch.testing.assert_close(ours[0][0, 1] - ours[1][0, 1], wanted - unwanted)
    torch.testing.assert_close(ours[0][0, 0] - ours[2][0, 0], wanted - unwanted)
    torch.testing.assert_close(ours[0][0, 0], ours[1][0, 0])
    for first, second in combinations(answers, 2):
        assert np.abs(first.logits - second.logits).max() > 0.001


def test_the_best_output_of_many_clicks_is_the_one_that_all_outputs_show(segmenter):
    embedding = segmenter.embed(IMAGE)
    clicks = [Prompts.click(5 + 9 * i, 40 - 7 * i) for i in range(5)]
    masks, quality = segmenter.decode_low(embedding, (48, 64), clicks, several=True)
    best, score = segmenter.decode_best(embedding, (48, 64), clicks)
    assert len(best) == len(score) == 5
    for i, which in enumerate(quality.argmax(1).tolist()):
        torch.testing.assert_close(score[i], quality[i, which])
        torch.testing.assert_close(best[i], masks[i, which], atol=1e-4, rtol=1e-4)


def test_a_pyramid_ends_in_the_embedding_and_fits_its_layouts(segmenter):
    maps, layouts = segmenter.pyramid(IMAGE), segmenter.pyramid_layouts((48, 64))
    np.testing.assert_array_equal(maps[-1], segmenter.embed(IMAGE))
    assert layouts[-1] == segmenter.layout((48, 64))
    for at, layout in zip(maps, layouts, strict=True):
        assert at.shape == (layout.channels, layout.side, layout.side) and at.dtype == np.float16
        assert layout.valid[1] == layout.side
        assert abs(layout.valid[0] - layout.side * 3 / 4) <= 0.5


def test_the_bundled_encoder_has_three_scales_of_one_width():
    torch.manual_seed(0)
    segmenter = SamSegmenter(build_tiny_sam(), skip_padding=True)
    layouts = segmenter.pyramid_layouts((240, 320))
    assert [layout.valid for layout in layouts] == [(8, 10), (15, 20), (30, 40)]
    assert len({layout.channels for layout in layouts}) == 1


def test_a_transformer_gives_what_its_blocks_of_global_attention_say():
    encoder = ImageEncoderViT(
        img_size=64, embed_dim=48, depth=4, num_heads=2, out_chans=32,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), window_size=2,
        global_attn_indexes=(1, 3),
    )  # fmt: skip
    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        early, embedding = encode_pyramid(encoder, image)
        x = encoder.patch_embed(image) + encoder.pos_embed
        expected = encoder.blocks[1](encoder.blocks[0](x)).permute(0, 3, 1, 2)
        torch.testing.assert_close(early, expected)
        torch.testing.assert_close(embedding, encoder(image))


def test_an_official_checkpoint_file_is_loaded(tmp_path):
    path = tmp_path / "sam_vit_b.pth"
    model = sam_model_registry["vit_b"]()
    torch.nn.init.constant_(model.mask_decoder.iou_token.weight, 0.125)
    torch.save(model.state_dict(), path)
    segmenter = load_segmenter(f"vit_b:{path}")
    assert isinstance(segmenter, SamSegmenter)
    assert segmenter.model.mask_decoder.iou_token.weight[0, 0].item() == 0.125
    assert segmenter.layout((480, 640)).valid == (48, 64)
