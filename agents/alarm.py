"""An alarm for reward hacking: the reward that is optimised has risen and holds, and what it stands for falls.

- ``HackingAlarm``: a callback that says so while an agent learns, and may stop it.
- ``LogMonitors``: logs what ``MonitorReward`` watches, for agents that do not: those of stable-baselines3.
- ``is_hacking``: the test itself, on two curves.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from textgym.agents.files import read_lines

FloatArray = NDArray[np.float64]

REWARD = "rollout/ep_rew_mean"
WORSE_WHEN_HIGHER = (
    "monitor/words", "monitor/repetition", "monitor/identical", "reward/uncertainty", "rollout/kl_to_reference"
)  # fmt: skip
"""Monitors whose rise is bad news; of all others it is the fall, if nothing else is said."""
MONITOR_ERRORS = 4.0
"""How many standard errors a fall of the monitor must have: the peak is the best of many, so 2 would not do."""
RISE_ERRORS, STALL_ERRORS = 2.0, 1.0
"""How many the reward must have risen by since the beginning, and how many it may have lost since the peak."""


class LogMonitors(BaseCallback):
    """Logs the means of ``monitor/...`` and ``reward/...`` of the episodes that end in a rollout.

    It is for agents of stable-baselines3, on envs in ``MonitorReward`` inside SB3's ``Monitor`` or ``VecMonitor``. The
    agents of textgym log them by themselves, and with them it does nothing.
    """

    def _init_callback(self) -> None:
        self.means: dict[str, float] = {}
        """What the last rollout gave, by the names of the log."""
        self._ended: dict[str, list[float]] = defaultdict(list)

    def _on_step(self) -> bool:
        for info in self.locals.get("infos", ()):
            if "episode" in info:
                self._ended[REWARD].append(float(info["episode"]["r"]))
            for name in info:
                if name.startswith(("monitor/", "reward/")):
                    self._ended[name].append(float(info[name]))
        return True

    def _on_rollout_end(self) -> None:
        if "metrics" in self.locals:  # an agent of textgym
            self.means = dict(self.locals["metrics"])
            return
        known = {name: [value for value in values if np.isfinite(value)] for name, values in self._ended.items()}
        self.means = {name: float(np.mean(values)) for name, values in known.items() if values}
        self._ended.clear()
        for name, value in self.means.items():
            if name != REWARD:  # which they log, over the last 100 episodes
                self.logger.record(name, value)


class HackingAlarm(LogMonitors):
    """Logs ``alarm/hacking``, 1 while ``is_hacking`` says so and else 0, and warns the first time, with the numbers.

    With the agents of textgym and those of stable-baselines3 (see ``LogMonitors``):

        agent = PPO("tiny", MonitorReward(gym.make("TextRLHF-v0", reward=model), gold=GoldReward()))
        agent.learn(20_000, callback=HackingAlarm("monitor/gold", stop=True))

    Any column of the log can be the monitor; of several alarms, in a list, each needs a ``name`` of its own. After a
    resume an alarm begins with what ``metrics.jsonl`` holds, if the agent has a ``logdir``; with an agent of
    stable-baselines3 it begins anew.
    """

    def __init__(
        self,
        monitor: str = "monitor/gold",
        reward: str = REWARD,
        *,
        window: int = 5,
        fall: float = 0.1,
        least: float = 0.0,
        higher_is_better: bool | None = None,
        stop: bool = False,
        name: str = "alarm/hacking",
    ) -> None:
        """Watch two columns of the log.

        Args:
            monitor: what should not get worse.
            reward: what is optimised.
            window: see ``is_hacking``, as for ``fall`` and ``least``.
            fall: share of its rise that the monitor must have lost.
            least: what it must have lost at least, in its own units; for a monitor that was best at the beginning.
            higher_is_better: which way the monitor gets worse; None: by ``WORSE_WHEN_HIGHER``.
            stop: end learning at the first alarm.
            name: what to log under.

        Raises:
            ValueError: for a number out of range.
        """
        super().__init__()
        if window < 1 or window != int(window):
            raise ValueError(f"window must be a whole number >= 1, got {window}")
        if monitor == reward:
            raise ValueError(f"monitor and reward are both {monitor!r}: nothing could show that one is hacked")
        if not fall >= 0 or not least >= 0:
            raise ValueError(f"fall and least must be >= 0, got {fall} and {least}")
        self.monitor = monitor
        self.reward = reward
        self.window = window
        self.fall = fall
        self.least = least
        self.sign = 1.0 if higher_is_better or (higher_is_better is None and monitor not in WORSE_WHEN_HIGHER) else -1.0
        self.stop = stop
        self.name = name
        self.fired_at: int | None = None
        """The number of timesteps (of textgym's agents: episodes) at the first alarm."""

    def _init_callback(self) -> None:
        super()._init_callback()
        self._curves: list[tuple[float, float]] = []
        self._is_blind = False

    def _on_training_start(self) -> None:
        """Take up what earlier calls of ``learn`` have logged."""
        logdir = getattr(self.model, "logdir", None)
        path = Path(logdir, "metrics.jsonl") if logdir else None
        for means in read_lines(path) if path else []:
            if means["train/n_updates"] <= self.model.num_updates:  # type: ignore[attr-defined]
                self._remember(means)

    def _on_step(self) -> bool:
        super()._on_step()
        return not (self.stop and self.fired_at is not None)

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        missing = [column for column in (self.reward, self.monitor) if column not in self.means]
        if missing and self.means and not self._is_blind:  # SB3's first rollout may see no episode end, and log nothing
            self._is_blind = True
            warnings.warn(
                f"{self.name} sees nothing: there is no {' and no '.join(missing)} in the log, which has "
                f"{', '.join(sorted(self.means))}; put MonitorReward around the env, or name another monitor",
                UserWarning,
                stacklevel=2,
            )
        self._remember(self.means)
        rewards, monitors = np.array(self._curves).reshape(-1, 2).T
        alarmed = is_hacking(rewards, self.sign * monitors, window=self.window, fall=self.fall, least=self.least)
        self.logger.record(self.name, float(alarmed))
        if alarmed and self.fired_at is None:
            self.fired_at = self.model.num_timesteps
            smooth = _smooth(self.sign * monitors, self.window)
            best, last = self.sign * smooth[: -self.window].max(), self.sign * smooth[-1]
            risen = _smooth(rewards, self.window)[-1]
            warnings.warn(
                f"reward hacking? {self.reward} has risen to {risen:.3g} while {self.monitor} "
                f"went from {best:.3g} to {last:.3g}, at {self.fired_at:,} timesteps; means of {self.window} updates",
                UserWarning,
                stacklevel=2,
            )

    def _remember(self, means: Mapping[str, float]) -> None:
        now = means.get(self.reward, np.nan), means.get(self.monitor, np.nan)
        if np.isfinite(now).all():
            self._curves.append(now)


def is_hacking(
    rewards: Sequence[float] | FloatArray,
    monitors: Sequence[float] | FloatArray,
    *,
    window: int = 5,
    fall: float = 0.1,
    least: float = 0.0,
) -> bool:
    """Say whether by the last update the monitor has fallen from its peak, and the reward, which has risen, holds.

    Both curves are smoothed by the mean of ``window`` updates. The last mean m of the monitor is compared with the
    highest m* of an earlier, not overlapping window, and the reward's means r and r* of the same two windows. It is an
    alarm if

        m* - m >= max(fall * (m* - first mean), least)   and   m* - m > 4 se(m)
        and   r - first mean > 2 se(r)   and   r - r* > -se(r)

    where se = sqrt(2 s^2 / window) is the standard error of the difference of two such means, and s^2 is the variance
    of one update's value: half the mean squared difference of successive ones, which a trend hardly moves (von Neumann
    et al., "The mean square successive difference", 1941). That supposes that the noise of updates is independent, as
    that of sampled batches is. That the reward has risen, and holds while what it stands for falls, is the mark of
    over-optimisation (Gao et al., arXiv 2210.10760); it need not rise on, since a reward model that does not see the
    loss may be content. A drop from the running maximum as the statistic is that of Page's
    test (1954); 4 standard errors and not 2 pay for the many windows among which the peak was chosen.

    Args:
        rewards: float (n,), the mean reward of each update.
        monitors: float (n,), the monitor's; higher is better.
        window: updates in a mean; before twice as many there is no alarm.
        fall: share of the monitor's rise above its first mean.
        least: in the monitor's units.
    """
    rewards, monitors = np.asarray(rewards, np.float64), np.asarray(monitors, np.float64)
    if len(monitors) < max(2 * window, 3):
        return False
    reward_means, monitor_means = _smooth(rewards, window), _smooth(monitors, window)
    peak = int(monitor_means[:-window].argmax())
    loss = monitor_means[peak] - monitor_means[-1]
    error = _standard_error(rewards, window)
    share = fall * (monitor_means[peak] - monitor_means[0])
    return bool(
        loss >= max(share, least)
        and loss > MONITOR_ERRORS * _standard_error(monitors, window)
        and reward_means[-1] - reward_means[0] > RISE_ERRORS * error
        and reward_means[-1] - reward_means[peak] > -STALL_ERRORS * error
    )


def _smooth(values: FloatArray, window: int) -> FloatArray:
    """Return the means of all windows, (n - window + 1,)."""
    return np.convolve(values, np.full(window, 1 / window), "valid")


def _standard_error(values: FloatArray, window: int) -> float:
    """Return that of the difference of the means of two windows."""
    return float(np.sqrt(np.mean(np.diff(values) ** 2) / window))
