"""Intervals cover as often as they say, Holm's correction keeps its error, and values equal those of other packages."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pipeline.study import statistics
from pipeline.study.statistics import CONTRARY, NOT_DECIDED, SHOWN

DRAWS, CELLS, CONFIDENCE = 10_000, 4, 0.90


def draw(seeds: int, number: int, deviation: float = 0.02) -> list[dict[str, list[float]]]:
    """Many studies of some cells with a mean of 0.5, normal noise and no differences."""
    values = np.random.default_rng(number).normal(0.5, deviation, [DRAWS, CELLS, seeds])
    return [{f"cell {i}": cell.tolist() for i, cell in enumerate(study)} for study in values]


@pytest.fixture(scope="module", params=[3, pytest.param(5, marks=pytest.mark.slow)])
def studies(request) -> list[dict[str, list[float]]]:
    return draw(request.param, number=request.param)


def test_intervals_of_means_and_of_a_single_difference_cover_as_often_as_they_say(studies):
    means = [statistics.means(study, CONFIDENCE)["cell 1"] for study in studies]
    (pair,) = zip(
        *(statistics.differences(study, [("cell 0", "cell 1")], CONFIDENCE) for study in studies), strict=True
    )
    for intervals, truth in ((means, 0.5), (pair, 0.0)):
        covered = np.mean([one.low <= truth <= one.high for one in intervals])
        assert 0.88 <= covered <= 0.92


def test_control_a_normal_interval_in_place_of_students_covers_too_rarely():
    quantile = stats.norm.ppf(0.5 + CONFIDENCE / 2)
    covered = []
    for study in draw(3, number=3):
        values = np.asarray(study["cell 1"])
        covered.append(abs(values.mean() - 0.5) <= quantile * values.std(ddof=1) / math.sqrt(3))
    assert np.mean(covered) < 0.88


ALL_PAIRS = list(itertools.combinations([f"cell {i}" for i in range(CELLS)], 2))


def decided(found: list[statistics.Difference]) -> bool:
    return any(one.verdict != NOT_DECIDED for one in found)


def test_holm_keeps_the_error_of_the_family(studies):
    wrong = np.mean([decided(statistics.differences(study, ALL_PAIRS, CONFIDENCE)) for study in studies])
    assert 0.02 < wrong <= 0.10


def test_holm_keeps_the_error_of_the_family_where_some_pairs_really_differ():
    """One cell lies far away. So three of six null hypotheses are wrong, and Holm tests the others less strictly."""
    true = [pair for pair in ALL_PAIRS if "cell 3" not in pair]

    def wrong(study: dict[str, list[float]]) -> bool:
        found = dict(zip(ALL_PAIRS, statistics.differences(study, ALL_PAIRS, CONFIDENCE), strict=True))
        return decided([found[pair] for pair in true])

    moved = [{**one, "cell 3": [value + 3.0 for value in one["cell 3"]]} for one in draw(3, number=3)[:4000]]
    assert 0.03 < np.mean([wrong(study) for study in moved]) <= 0.10
    alone = [any(decided(statistics.differences(study, [pair], CONFIDENCE)) for pair in true) for study in moved[:1000]]
    assert np.mean(alone) > 0.12  # control


def test_control_without_holm_the_error_of_the_family_is_larger(studies):
    def wrong(study: dict[str, list[float]]) -> bool:
        return any(decided(statistics.differences(study, [pair], CONFIDENCE)) for pair in ALL_PAIRS)

    assert np.mean([wrong(study) for study in studies[:1000]]) > 0.2


CELLS_OF_DIFFERENT_SIZE = {"a": [0.51, 0.47, 0.55], "b": [0.44, 0.41], "c": [0.60, 0.52, 0.58, 0.55]}


def test_one_cell_and_two_cells_equal_scipy():
    one = CELLS_OF_DIFFERENT_SIZE["c"]
    mine = statistics.means({"c": one}, 0.9)["c"]
    expected = stats.t.interval(0.9, len(one) - 1, loc=np.mean(one), scale=stats.sem(one))
    np.testing.assert_allclose((mine.low, mine.high), expected, rtol=1e-12)
    two = {name: CELLS_OF_DIFFERENT_SIZE[name] for name in "ab"}
    (mine,) = statistics.differences(two, [("a", "b")], 0.9)
    tested = stats.ttest_ind(two["a"], two["b"])
    expected = tested.confidence_interval(0.9)
    np.testing.assert_allclose((mine.low, mine.high), (expected.low, expected.high), rtol=1e-12)
    assert mine.p_value == pytest.approx(tested.pvalue, rel=1e-12)


def test_several_cells_equal_statsmodels():
    """The values were computed by statsmodels 0.15.0: OLS on the cells, conf_int(0.1) and t_test of the contrasts."""
    means = statistics.means(CELLS_OF_DIFFERENT_SIZE, 0.9)
    ends = [end for one in means.values() for end in (one.low, one.high)]
    np.testing.assert_allclose(ends, STATSMODELS_MEANS, rtol=1e-9)
    noise = statistics.pooled(CELLS_OF_DIFFERENT_SIZE)
    assert noise.freedom == 6
    assert noise.deviation == pytest.approx(STATSMODELS_DEVIATION, rel=1e-9)
    found = statistics.differences(CELLS_OF_DIFFERENT_SIZE, [("a", "b"), ("a", "c"), ("b", "c")], 0.9)
    np.testing.assert_allclose([one.p_value for one in found], STATSMODELS_HOLM, rtol=1e-9)


STATSMODELS_MEANS = [
    0.4708004883541443, 0.5491995116458558, 0.3769905991506832, 0.47300940084931653, 0.528552227098745,
    0.596447772901255,
]  # fmt: skip
STATSMODELS_DEVIATION = 0.034940425488727715
STATSMODELS_HOLM = [0.07455851538485155, 0.09671021497280378, 0.011749149316434566]
P_VALUES = [0.01, 0.04, 0.03, 0.005, 0.2, 0.04]


def test_adjusted_p_values_equal_statsmodels_and_the_closed_test():
    mine = statistics.holm_adjusted(P_VALUES)
    # statsmodels 0.15.0: multipletests(P_VALUES, method="holm")[1]
    np.testing.assert_allclose(mine, [0.05, 0.12, 0.12, 0.03, 0.2, 0.12], rtol=1e-12)
    # Holm is the closed test of Bonferroni's: reject one hypothesis if every set with it is rejected.
    for i, adjusted in enumerate(mine):
        others = [p for j, p in enumerate(P_VALUES) if j != i]
        sets = [(P_VALUES[i], *more) for k in range(len(others) + 1) for more in itertools.combinations(others, k)]
        assert adjusted == pytest.approx(min(1.0, max(len(one) * min(one) for one in sets)))


@pytest.mark.parametrize("number", range(50))
def test_an_interval_leaves_out_0_exactly_if_holm_rejects(number):
    random = np.random.default_rng(number)
    study = {f"cell {i}": random.normal(0.5 + 0.02 * i, 0.02, 3).tolist() for i in range(CELLS)}
    for one in statistics.differences(study, ALL_PAIRS, CONFIDENCE):
        assert (one.verdict != NOT_DECIDED) == (one.p_value < 1 - CONFIDENCE)


def test_verdicts():
    cells = {"low": [0.10, 0.11, 0.12], "high": [0.50, 0.51, 0.52], "other": [0.105, 0.115, 0.12]}
    found = statistics.differences(cells, [("high", "low"), ("low", "high"), ("low", "other")], 0.9)
    assert [one.verdict for one in found] == [SHOWN, CONTRARY, NOT_DECIDED]
    assert found[0].value == pytest.approx(0.4)


def test_one_seed_has_no_interval_and_decides_nothing():
    cells = {"a": [0.1], "b": [0.9]}
    assert all(math.isnan(one.low) and math.isnan(one.high) for one in statistics.means(cells, 0.9).values())
    (one,) = statistics.differences(cells, [("a", "b")], 0.9)
    assert math.isnan(one.low)
    assert one.verdict == NOT_DECIDED


def test_equal_runs_decide_nothing():
    cells = {"a": [0.5, 0.5], "b": [0.5, 0.5], "c": [0.6, 0.6]}
    same, other = statistics.differences(cells, [("a", "b"), ("c", "a")], 0.9)
    assert (same.value, same.verdict) == (0.0, NOT_DECIDED)
    assert other.verdict == SHOWN  # without any noise, each difference is real


def test_a_missing_cell_decides_nothing_and_makes_no_other_comparison_easier():
    cells = {"a": [0.50, 0.52], "b": [0.48, 0.49]}
    missing, with_missing = statistics.differences(cells, [("a", "c"), ("a", "b")], 0.9)
    assert math.isnan(missing.value)
    assert missing.verdict == NOT_DECIDED
    (alone,) = statistics.differences(cells, [("a", "b")], 0.9)
    assert with_missing.high - with_missing.low > alone.high - alone.low
