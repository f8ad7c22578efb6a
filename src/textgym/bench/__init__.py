"""Benchmarks: agents side by side on the same environments, in runs that can be killed and go on.

- ``matrix``: a YAML file of envs x agents x policies x seeds becomes cells; ``hyperparams`` gives each its settings.
- ``runner``: runs the cells in parallel processes, each in a folder of its own, ``ray_pool`` in those of a Ray
  cluster; ``progress`` shows how far they are.
- ``cell``: what one cell does, by kind: ``learning`` (our agents), ``classic`` (those of stable-baselines3),
  ``baselines`` (what nobody learns); ``measure`` says how good a policy is, ``meter`` what it cost, and
  ``reward_models`` lets a learned reward pay.
- ``results``: finished cells as matrices of scores, and ``statistics``: what can be said of such a matrix.
"""
