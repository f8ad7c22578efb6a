"""What can be said of an agent from a few runs on each of several tasks: pure functions of arrays.

- ``normalize``: 0 is where an agent began, 1 is perfect.
- ``iqm``, ``mean``, ``optimality_gap``, ``probability_of_improvement``, ``performance_profile``: one number, or one for
  each threshold, for a matrix of scores.
- ``bootstrap_interval``: how far any of these may be off.
- ``samples_to_level``, ``kaplan_meier``, ``median_time``, ``restricted_mean``: sample efficiency, where some runs never
  get there; ``area_under_curve``, which needs no level.

Scores are float64 (..., runs, tasks): rows are runs, columns tasks, and what stands before is kept. The definitions are
those of Agarwal et al., arXiv 2108.13264, and of their library rliable 1.2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def normalize(raw: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """Return (raw - low) / (high - low): ``low`` and ``high`` (tasks,) become 0 and 1, and what is beyond stays beyond.

    Raises:
        ValueError: where ``low`` is not below ``high``: there is nothing to gain on such a task.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if not (low < high).all():
        raise ValueError(f"a task must leave room between low and high, got low={low} and high={high}")
    return np.asarray((np.asarray(raw, float) - low) / (high - low))


def iqm(scores: ArrayLike) -> Array:
    """Return the interquartile mean (...,): without the lowest and the highest quarter of all runs x tasks.

    A quarter of n scores is floor(n / 4) of them, as in ``scipy.stats.trim_mean(scores, 0.25, axis=None)``.
    """
    scores = _checked(scores)
    ordered = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    count = ordered.shape[-1]
    return np.asarray(ordered[..., count // 4 : count - count // 4].mean(-1))


def mean(scores: ArrayLike) -> Array:
    """Return the mean over runs and tasks (...,)."""
    return np.asarray(_checked(scores).mean((-2, -1)))


def optimality_gap(scores: ArrayLike) -> Array:
    """Return the mean of max(0, 1 - score) (...,): how far runs fall short of 1, with no credit for going beyond."""
    return np.asarray(np.maximum(0.0, 1.0 - _checked(scores)).mean((-2, -1)))


def probability_of_improvement(scores: ArrayLike, others: ArrayLike) -> Array:
    """Return how probably a run of the first beats a run of the second on a random task (...,); a tie is half a win.

        mean over tasks of sum_ij ([x_i > y_j] + [x_i = y_j] / 2) / (n m)       Mann-Whitney's U / (n m)

    Args:
        scores: (..., n, tasks).
        others: (..., m, tasks).
    """
    x, y = _checked(scores)[..., :, None, :], _checked(others)[..., None, :, :]
    return np.asarray(((x > y) + 0.5 * (x == y)).mean((-3, -2, -1)))


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Array:
    """Return for each threshold (k,) the share of runs x tasks with a score above it, (..., k)."""
    scores = _checked(scores)
    flat = scores.reshape(*scores.shape[:-2], -1)
    return np.stack([(flat > threshold).mean(-1) for threshold in np.atleast_1d(thresholds)], -1)


def bootstrap_interval(
    statistic: Callable[..., Array],
    *scores: ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 50_000,
) -> tuple[Array, Array]:
    """Return the lower and the upper end of a percentile interval by the stratified bootstrap.

    A resample draws as many runs as there are, with replacement and for each task apart: tasks are given, runs are a
    sample. With five runs such an interval is too short: one of 95 % held the truth in 90 % of 2,000 simulated
    benchmarks of four tasks, with ten in 93 %.

    Args:
        statistic: any of the above; where it gives several numbers, the intervals are pointwise.
        *scores: the matrices it takes, each (runs, tasks), resampled independently.
        rng: random stream of the resampling.
        confidence: share of the resamples between the ends.
        resamples: how many.

    Raises:
        ValueError: if a matrix has fewer than two runs.
    """
    matrices = [_checked(each) for each in scores]
    if min(len(matrix) for matrix in matrices) < 2:
        raise ValueError("an interval needs at least two runs: one says nothing about how much runs differ")
    values = []
    for start in range(0, resamples, _AT_ONCE):
        size = min(_AT_ONCE, resamples - start)
        drawn = [matrix[rng.integers(len(matrix), size=(size, *matrix.shape)), _columns(matrix)] for matrix in matrices]
        values.append(statistic(*drawn))
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1.0 - tail], axis=0)
    return np.asarray(low), np.asarray(high)


_AT_ONCE = 1_000  # resamples held in memory together


def samples_to_level(samples: ArrayLike, scores: ArrayLike, level: float) -> tuple[float, bool]:
    """Return at how many samples a curve is first at ``level`` or above, and True; or its last samples, and False.

    Curves are looked at now and then: the true number lies between that look and the one before. A first passage of a
    noisy curve comes early, the earlier the noisier: compare agents that were looked at on equally many problems.

    Args:
        samples: (points,), increasing.
        scores: (points,).
        level: what is to be reached.
    """
    samples, scores = np.asarray(samples, float), np.asarray(scores, float)
    reached = np.flatnonzero(scores >= level)
    return (float(samples[reached[0]]), True) if len(reached) else (float(samples[-1]), False)


def kaplan_meier(times: ArrayLike, reached: ArrayLike) -> tuple[Array, Array]:
    """Return the times (k,) at which runs got there, and the estimated share that has not, just after each, (k,).

        S(t) = prod over t_i <= t of 1 - d_i / n_i        Kaplan and Meier 1958

    with d_i runs that got there at t_i of the n_i that were still looked at.

    Args:
        times: (runs,), from ``samples_to_level``.
        reached: bool (runs,); a run that did not get there was looked at until its time, and no longer.
    """
    times, reached = np.asarray(times, float), np.asarray(reached, bool)
    moments = np.unique(times[reached])
    arrived = np.array([(times[reached] == moment).sum() for moment in moments], float)
    watched = np.array([(times >= moment).sum() for moment in moments], float)
    return moments, np.cumprod(1.0 - arrived / watched) if len(moments) else arrived


def median_time(times: ArrayLike, reached: ArrayLike) -> float:
    """Return when half of the runs have got there; infinity where that was not seen."""
    moments, share_left = kaplan_meier(times, reached)
    half = np.flatnonzero(share_left <= 0.5 + 1e-12)
    return float(moments[half[0]]) if len(half) else float("inf")


def restricted_mean(times: ArrayLike, reached: ArrayLike, limit: float) -> float:
    """Return the mean time up to ``limit``, the area below Kaplan and Meier's S from 0 to it.

    Where all runs were looked at until ``limit`` or longer, it is the mean of min(time, limit).
    """
    moments, share_left = kaplan_meier(times, reached)
    inside = moments < limit
    edges = np.concatenate([[0.0], moments[inside], [limit]])
    heights = np.concatenate([[1.0], share_left[inside]])
    return float((np.diff(edges) * heights).sum())


def area_under_curve(samples: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean height of a curve over its samples, by trapezoids: points (points,), increasing, at least two."""
    samples, scores = np.asarray(samples, float), np.asarray(scores, float)
    return float((np.diff(samples) * (scores[1:] + scores[:-1]) / 2).sum() / (samples[-1] - samples[0]))


def _columns(matrix: Array) -> NDArray[np.intp]:
    return np.arange(matrix.shape[-1])


def _checked(scores: ArrayLike) -> Array:
    """Return a matrix of scores, or a stack of them.

    Raises:
        ValueError: if it is none, is empty, or has a number that is not finite.
    """
    scores = np.asarray(scores, float)
    if scores.ndim < 2 or not scores.size:
        raise ValueError(f"scores must be runs x tasks, got the shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: leave out a run that failed")
    return scores
