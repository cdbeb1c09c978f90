import torch

from semantic_field_ros.models.tiny.mask_loss import ClickProbe
from semantic_field_ros.models.tiny.sam import TinySamConfig, build_tiny_sam, start_local


def built(seed=0):
    torch.manual_seed(seed)
    return build_tiny_sam().eval()


def test_embedding_is_an_eighth_of_the_image():
    model = built()
    with torch.inference_mode():
        assert model.image_encoder(torch.zeros(2, 3, 192, 256)).shape == (2, 96, 24, 32)


def test_upscaling_in_cells_equals_the_official_convolutions():
    decoder = built().mask_decoder
    cells = torch.randn(2, 6 * 5, 96)
    weights = torch.randn(2, 3, 12)
    with torch.inference_mode():
        ours = decoder.masks(weights, decoder.upscale(cells), (6, 5))
        grid = cells.transpose(1, 2).unflatten(2, (6, 5))
        official = weights @ decoder.output_upscaling(grid).flatten(2)
    torch.testing.assert_close(ours, official.unflatten(2, (24, 20)), atol=1e-5, rtol=1e-4)


def test_nearness_is_greatest_at_the_prompt_and_falls_with_distance():
    model = built()
    sparse, _ = model.prompt_encoder(
        points=(torch.tensor([[[99.5, 67.5]]]), torch.ones(1, 1)), boxes=None, masks=None
    )
    sparse = sparse - model.prompt_encoder.point_embeddings[1].weight
    positions = model.prompt_encoder.get_dense_pe()
    near = model.mask_decoder.nearness(sparse, positions)[0].unflatten(1, (40, 40))
    for kernel in near[:8]:
        row, column = divmod(int(kernel.argmax()), 40)
        assert abs(row - 8) <= 1 and abs(column - 12) <= 1
    assert near[0, 8, 20] > near[7, 8, 20]


def test_start_local_keeps_what_pretraining_taught_the_decoder():
    model = built()
    decoder, probe = model.mask_decoder, ClickProbe(TinySamConfig().dim)
    embedding, points = torch.randn(96, 24, 32), torch.tensor([[40.0, 50.0], [200.0, 100.0]])
    answers = []
    with torch.no_grad():
        for change in (lambda model: None, start_local):
            change(model)
            _, state = probe(decoder, embedding, decoder.votes(embedding), points)
            cells = decoder.transformer.layers[0].norm4(embedding.flatten(1).T)
            answers.append((state, decoder.upscale(cells[None])))
    for before, after in zip(*answers, strict=True):
        torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-3)


def test_parameters_fit_the_bundle():
    assert sum(p.numel() for p in built().parameters()) < 5_000_000
