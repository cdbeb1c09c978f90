import pytest
import torch
from torch import nn

from semantic_field_ros import backends
from semantic_field_ros.field.table_adam import TableAdam


def sparse_gradient(step):
    generator = torch.Generator().manual_seed(step)
    grad = torch.randn((50, 4), generator=generator)
    grad[torch.rand(50, generator=generator) < 0.6] = 0
    return grad


@pytest.mark.parametrize("plain", [False, True])
def test_the_first_step_moves_touched_rows_by_the_learning_rate(plain, monkeypatch):
    monkeypatch.setattr(backends, "has_numba", lambda: not plain)
    table = nn.Parameter(torch.ones((3, 2)))
    table.grad = torch.tensor([[0.5, -2.0], [0.0, 0.0], [0.0, 1e-3]])
    TableAdam(table, 0.1).step()
    expected = torch.tensor([[0.9, 1.1], [1.0, 1.0], [1.0, 0.9]])
    torch.testing.assert_close(table.detach(), expected, atol=1e-5, rtol=0)
    assert not table.grad.any()


@pytest.mark.skipif(not backends.has_numba(), reason="numba is not here")
def test_compiled_and_plain_agree(monkeypatch):
    tables = []
    for plain in (False, True):
        monkeypatch.setattr(backends, "has_numba", lambda plain=plain: not plain)
        table = nn.Parameter(torch.zeros((50, 4)))
        adam = TableAdam(table, 0.05)
        for step in range(20):
            table.grad = sparse_gradient(step)
            adam.step()
        tables.append(table.detach())
    torch.testing.assert_close(tables[0], tables[1], atol=1e-5, rtol=1e-4)


def test_every_row_touched_is_plain_adam():
    table, twin = (nn.Parameter(torch.zeros((10, 2))) for _ in range(2))
    adam = TableAdam(table, 0.01)
    other = torch.optim.Adam([twin], 0.01, betas=(0.9, 0.99), eps=1e-15)
    for step in range(10):
        grad = torch.randn((10, 2), generator=torch.Generator().manual_seed(step))
        table.grad, twin.grad = grad.clone(), grad.clone()
        adam.step()
        other.step()
    torch.testing.assert_close(table.detach(), twin.detach(), atol=1e-5, rtol=1e-3)
