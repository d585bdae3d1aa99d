"""Student's interval against scipy."""

import pytest
import torch
from scipy import stats

from awase.errors import DataError
from awase.functional.seeds import mean_over_seeds


@pytest.mark.parametrize("n", [2, 3, 5, 10, 31, 32, 60, 500])
def test_the_interval_is_students(n: int) -> None:
    values = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    found = mean_over_seeds(values.tolist())
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=values.std() / n**0.5)
    assert found.low == pytest.approx(low, abs=2e-4)
    assert found.high == pytest.approx(high, abs=2e-4)


def test_one_value_has_no_interval_and_none_no_value() -> None:
    one, none = mean_over_seeds([0.4]), mean_over_seeds([])
    assert (one.value, one.low, one.high) == (0.4, None, None)
    assert none.value is None


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        mean_over_seeds([float("nan"), 1.0])
