"""Aggregates over hand-computed values, other definitions, and simulated benchmarks whose truth is known."""

import math

import numpy as np
import pytest

from textgym.bench import statistics as st

RNG = np.random.default_rng(0)


def test_normalize_maps_the_beginning_to_0_and_perfection_to_1() -> None:
    raw = [[0.2, 0.5], [1.0, 0.25], [0.6, 0.0]]
    np.testing.assert_allclose(st.normalize(raw, [0.2, 0.0], [1.0, 0.5]), [[0, 1], [1, 0.5], [0.5, 0]])
    with pytest.raises(ValueError, match="room between"):
        st.normalize(raw, [0.2, 0.5], [1.0, 0.5])


def test_iqm_of_hand_computed_matrices() -> None:
    assert st.iqm([[1.0, 2.0], [3.0, 100.0]]) == 2.5  # one of four is cut at each end
    assert st.iqm([[1.0, 2.0, 3.0], [4.0, 5.0, 60.0]]) == 3.5  # floor(6 / 4) = 1
    assert st.iqm([[3.0], [5.0], [7.0]]) == 5.0  # floor(3 / 4) = 0: the mean
    np.testing.assert_allclose(st.iqm(np.array([[[1.0, 2], [3, 100]], [[0.0, 0], [1, 1]]])), [2.5, 0.5])


def test_optimality_gap_gives_no_credit_beyond_1() -> None:
    assert st.optimality_gap([[0.5, 2.0], [1.0, 0.0]]) == pytest.approx((0.5 + 0 + 0 + 1) / 4)
    assert st.optimality_gap([[-1.0, 1.0]]) == 1.0


def test_probability_of_improvement_counts_pairs_and_half_of_ties() -> None:
    x, y = np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 5.0], [0.0, 0.0], [3.0, -1.0]])
    # task 0: 1 beats 0 and ties 1; 2 beats 1 and 0: 3.5 of 6. Task 1: each 0 ties 0 and beats -1: 3 of 6
    assert st.probability_of_improvement(x, y) == pytest.approx((3.5 / 6 + 3 / 6) / 2)
    assert st.probability_of_improvement(x, y) + st.probability_of_improvement(y, x) == pytest.approx(1.0)
    assert st.probability_of_improvement(x, x) == 0.5


def test_performance_profile_is_the_share_above() -> None:
    profile = st.performance_profile([[0.0, 0.5], [0.5, 1.0]], [-1.0, 0.0, 0.25, 0.5, 1.0])
    assert profile.tolist() == [1.0, 0.75, 0.75, 0.25, 0.0]


def test_everything_agrees_with_rliable() -> None:
    """Numbers that rliable 1.2.0 gave (scipy 1.17, arch 7.2; 50,000 resamples)."""
    x = np.array([[0.9, 0.2, 0.5], [0.8, 0.1, 1.2], [0.7, 0.2, 0.4], [1.0, -0.1, 0.6], [0.6, 0.3, 0.5]])
    y = np.array([[0.5, 0.2, 0.7], [0.9, 0.0, 0.5], [0.7, 0.4, 0.4], [0.8, 0.1, 0.9]])
    assert st.iqm(x) == pytest.approx(0.5111111111111111)
    assert st.mean(x) == pytest.approx(0.5266666666666667)
    assert st.optimality_gap(x) == pytest.approx(0.4866666666666667)
    assert st.probability_of_improvement(x, y) == pytest.approx(0.525)
    above = [15 / 15, 14 / 15, 13 / 15, 10 / 15, 7 / 15, 4 / 15, 1 / 15, 0.0]
    np.testing.assert_allclose(st.performance_profile(x, np.linspace(-0.2, 1.2, 8)), above)
    rng = np.random.default_rng(0)
    assert st.bootstrap_interval(st.iqm, x, rng=rng, resamples=20_000) == pytest.approx((0.4444, 0.6333), abs=0.012)
    assert st.bootstrap_interval(st.mean, x, rng=rng, resamples=20_000) == pytest.approx((0.4333, 0.64), abs=0.007)


def test_bootstrap_of_two_runs_is_the_distribution_of_their_resamples() -> None:
    """Mean of one task, runs 0 and 1: a resample means 0, 0.5 or 1, with probabilities 1/4, 1/2, 1/4."""
    rng = np.random.default_rng(0)
    assert st.bootstrap_interval(st.mean, [[0.0], [1.0]], rng=rng, resamples=4_000) == (0.0, 1.0)
    assert st.bootstrap_interval(st.mean, [[0.0], [1.0]], rng=rng, resamples=4_000, confidence=0.4) == (0.5, 0.5)


def test_bootstrap_resamples_runs_within_each_task() -> None:
    """Tasks that differ are no uncertainty, and the runs of two tasks are not drawn together."""
    rng = np.random.default_rng(0)
    assert st.bootstrap_interval(st.mean, [[0.0, 1.0], [0.0, 1.0]], rng=rng, resamples=100) == (0.5, 0.5)
    seen: set[float] = set()

    def note(scores: st.Array) -> st.Array:
        seen.update(st.mean(scores).tolist())
        return st.mean(scores)

    st.bootstrap_interval(note, [[0.0, 1.0], [1.0, 0.0]], rng=rng, resamples=500)  # drawn together, always 0.5
    assert seen == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_bootstrap_of_several_numbers_is_pointwise_and_takes_two_matrices() -> None:
    rng = np.random.default_rng(0)
    scores, others = rng.random((5, 3)), rng.random((4, 3))
    low, high = st.bootstrap_interval(lambda s: st.performance_profile(s, [0.2, 0.5]), scores, rng=rng, resamples=1_500)
    profile = st.performance_profile(scores, [0.2, 0.5])
    assert low.shape == high.shape == (2,)
    assert (low <= profile).all() and (profile <= high).all()
    low, high = st.bootstrap_interval(st.probability_of_improvement, scores, others, rng=rng, resamples=1_500)
    assert 0 <= low <= st.probability_of_improvement(scores, others) <= high <= 1


@pytest.mark.parametrize("runs, least, most", [(5, 0.86, 0.935), (20, 0.9, 0.965)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(runs: int, least: float, most: float) -> None:
    """600 benchmarks of 4 tasks, normal scores with mean 0.5; the mean's interval falls short with few runs."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        low, high = st.bootstrap_interval(st.mean, rng.normal(0.5, 0.2, (runs, 4)), rng=rng, resamples=500)
        held += low <= 0.5 <= high
    assert least < held / 600 < most


def test_samples_to_level_is_the_first_look_or_censored() -> None:
    assert st.samples_to_level([0, 10, 20, 30], [0.1, 0.4, 0.9, 0.3], 0.5) == (20.0, True)
    assert st.samples_to_level([0, 10, 20, 30], [0.1, 0.4, 0.4, 0.3], 0.5) == (30.0, False)
    assert st.samples_to_level([0, 10], [0.5, 0.4], 0.5) == (0.0, True)


def test_kaplan_meier_of_a_hand_computed_example() -> None:
    """Six runs: 2, 4 and 4 arrive; 3, 5 and 5 were only looked at so long."""
    times, reached = [2, 3, 4, 4, 5, 5], [True, False, True, True, False, False]
    moments, share_left = st.kaplan_meier(times, reached)
    assert moments.tolist() == [2, 4]
    np.testing.assert_allclose(share_left, [5 / 6, 5 / 6 * 2 / 4])
    assert st.median_time(times, reached) == 4
    assert st.restricted_mean(times, reached, 5) == pytest.approx(2 + 2 * 5 / 6 + 5 / 12)


def test_without_censoring_the_median_and_the_mean_are_the_plain_ones() -> None:
    times = [3.0, 1.0, 7.0, 5.0, 9.0]
    assert st.median_time(times, [True] * 5) == 5.0
    assert st.restricted_mean(times, [True] * 5, 100.0) == pytest.approx(5.0)
    assert st.restricted_mean(times, [True] * 5, 4.0) == pytest.approx(np.minimum(times, 4).mean())


def test_runs_that_never_arrive_leave_no_median() -> None:
    assert st.median_time([10, 10, 10], [True, False, False]) == math.inf
    assert st.median_time([10, 10], [False, False]) == math.inf
    assert st.median_time([5, 10], [True, False]) == 5
    assert st.restricted_mean([10, 10], [False, False], 10) == 10


def test_restricted_mean_recovers_the_truth_under_censoring() -> None:
    """Exponential times, censored at random: leaving the censored out, or taking their times, is far too low."""
    rng = np.random.default_rng(0)
    true, censor = rng.exponential(1.0, 5_000), rng.exponential(2.0, 5_000)
    times, reached = np.minimum(true, censor), true <= censor
    assert st.restricted_mean(times, reached, 2.0) == pytest.approx(1 - math.exp(-2), abs=0.025)
    assert st.median_time(times, reached) == pytest.approx(math.log(2), abs=0.04)
    assert np.minimum(times, 2.0).mean() < 0.7


def test_area_under_curve_weighs_points_by_their_distance() -> None:
    assert st.area_under_curve([0, 10, 40], [0.0, 1.0, 1.0]) == pytest.approx((10 * 0.5 + 30 * 1.0) / 40)


@pytest.mark.parametrize("scores", [[0.1, 0.2], [[0.1, math.nan]], np.zeros((0, 3))])
def test_bad_matrices_are_refused(scores: object) -> None:
    with pytest.raises(ValueError, match="score"):
        st.iqm(scores)  # type: ignore[arg-type]


def test_one_run_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two runs"):
        st.bootstrap_interval(st.iqm, [[0.1, 0.2]], rng=RNG)
