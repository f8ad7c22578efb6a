"""Several processes: real ones, joined by gloo, that give what one process with as many shards does.

Run as a script, this is one of the processes: it trains and writes ``results.pt``.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from torch.distributed.tensor import DTensor

import textgym  # noqa: F401
from textgym.agents import DPO, GRPO, PPO, REINFORCE, SFT, CausalLM, ExpertIteration, sharding
from textgym.agents.distributed import processes
from textgym.agents.sampling import sample

CASES = {
    "grpo": (GRPO, {"group_size": 4}),
    "few": (GRPO, {"group_size": 2, "prompts_per_update": 4}),  # updates in which one process keeps no row
    "dapo": (GRPO, {"group_size": 4, "preset": "dapo", "overlong_cache": 2}),
    "minibatches": (GRPO, {"group_size": 4, "preset": "grpo", "n_minibatches": 3}),
    "rloo": (GRPO, {"group_size": 4, "preset": "rloo"}),
    "gspo": (GRPO, {"group_size": 4, "preset": "gspo", "n_epochs": 2}),
    "batch_std": (GRPO, {"group_size": 4, "advantage": "batch_std", "norm": "const"}),
    "ppo": (PPO, {"kl_coef": 0.05, "kl_target": 0.5, "kl_horizon": 64, "target_kl": 0.05, "critic_warmup_updates": 1}),
    "separate": (PPO, {"critic": "separate", "ent_coef": 0.01, "n_minibatches": 3}),
    "reinforce": (REINFORCE, {}),
    "moving": (REINFORCE, {"baseline": "moving_average"}),
    "reinforce_pp": (REINFORCE, {"preset": "reinforce_pp"}),
    "dpo": (DPO, {"group_size": 4}),
    "expert_iteration": (ExpertIteration, {"group_size": 4, "n_minibatches": 2}),
    "sft": (SFT, {"batch_size": 16}),
    "lora": (GRPO, {"group_size": 4, "lora_rank": 2, "kl_coef": 0.05}),
    "checkpointing": (PPO, {"gradient_checkpointing": True}),
}
QUICK = ("grpo", "few", "ppo", "sft")
QUICK_SHARDED = ("few", "separate", "lora")
FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}


def train(name, shards_each, folder):
    """Return parameters before and after four updates, with a checkpoint between, and the metrics of each."""
    agent_class, settings = CASES[name]
    settings = {"max_new_tokens": 6, "learning_rate": 1e-4, "warmup_updates": 0, "micro_batch_size": 5} | settings
    if agent_class is not SFT:
        settings = {"prompts_per_update": 8} | settings
    env = gym.make("TextMath-v0", difficulty=1)
    policy = CausalLM.load("tiny")
    if name == "grpo" and processes().process_index == 1:  # it gets those of the main process
        torch.nn.init.zeros_(policy.model.lm_head.weight)
    agent = agent_class(policy, env, gradient_accumulation_steps=shards_each, **settings)
    before, metrics = [sharding.whole(parameter.detach().clone()) for parameter in agent.parameters()], []
    if policy.is_sharded:
        with pytest.raises(RuntimeError, match="the weights are sharded"):
            sample(policy, [[1]], max_new_tokens=1)
    for i in range(4):
        if i == 2:
            agent.save(Path(folder) / name)
            agent = agent_class.load(Path(folder) / name, env)
        metrics.append(agent.update())
        agent.num_updates += 1
    after = [sharding.whole(parameter.detach()) for parameter in agent.parameters()]
    kept = sum(p.to_local().numel() for p in agent.parameters() if isinstance(p, DTensor))
    return {"before": before, "after": after, "metrics": metrics, "episodes": agent.num_timesteps, "kept": kept}


def launch(arguments, count=2, timeout=100, more_env=()):
    """Run this file in several processes as ``accelerate launch`` does, without its own start-up time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= dict(more_env)
    shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        errors = [process.communicate(timeout=timeout)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], errors


def assert_same(several, one, atol):
    assert several["episodes"] == one["episodes"]
    moved = max(float((a - b).abs().max()) for a, b in zip(one["before"], one["after"], strict=True))
    assert moved > 1e-4
    for first, second in zip(several["after"], one["after"], strict=True):
        torch.testing.assert_close(first, second, atol=atol, rtol=0)
    for first, second in zip(several["metrics"], one["metrics"], strict=True):
        assert first == pytest.approx(second, rel=1e-3, abs=1e-4, nan_ok=True)


def compare(names, tmp_path, shards_each=1, more_env=(), atol=1e-5):
    codes, errors = launch([str(tmp_path), str(shards_each), *names], more_env=more_env)
    assert codes == [0, 0], "\n".join(errors)
    several = torch.load(tmp_path / "results.pt")
    for name in names:
        assert_same(several[name], train(name, 2 * shards_each, tmp_path), atol)
    return several


def test_2_processes_give_the_parameters_of_1_with_twice_the_shards(tmp_path):
    results = compare(QUICK, tmp_path)
    kept = {metrics["rollout/frac_kept"] for metrics in results["few"]["metrics"]}
    assert kept == {0.0, 0.25}  # nobody has a row to learn from, and one process has


@pytest.mark.slow
def test_so_does_every_other_variant(tmp_path):
    compare([name for name in CASES if name not in QUICK], tmp_path)


def test_so_do_2_that_keep_half_of_the_weights_each(tmp_path):
    # Halves of a batch are packed otherwise than the whole, and round differently.
    results = compare(QUICK_SHARDED, tmp_path, more_env=FSDP2, atol=3e-5)
    for result in results.values():
        assert result["kept"] == pytest.approx(sum(weights.numel() for weights in result["after"]) / 2, rel=0.01)


@pytest.mark.slow
def test_sharded_weights_learn_by_every_other_variant(tmp_path):
    # Prompts are not shared there: each row is computed alone, and rounds differently. Of 806,400 weights, which move
    # by 2e-4, 26 or fewer differ by more than 1e-5: Adam makes much of gradients near 0.
    compare([name for name in CASES if name not in QUICK_SHARDED], tmp_path, more_env=FSDP2, atol=6e-5)


@pytest.mark.slow
def test_processes_and_accumulation_multiply(tmp_path):
    compare(["grpo", "ppo"], tmp_path, shards_each=2)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(tmp_path):
    codes, errors = launch([str(tmp_path), "1", "die"], timeout=60)
    assert codes[1] == 3 and codes[0] not in (0, 3)
    assert "gloo" in errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("how", [["--multi_gpu"], ["--config_file", "examples/fsdp2.yaml"]], ids=["whole", "sharded"])
def test_accelerate_launch_trains_and_only_the_main_process_writes(how, tmp_path):
    # With --cpu, accelerate starts a single process unless there is MPI; CPUs are what is left without GPUs.
    command = ["-m", "accelerate.commands.launch", *how, "--num_processes", "2", "--main_process_port", "0"]
    command += ["-m", "textgym", "train", "--agent", "grpo", "--env", "TextMath-v0", "--total-episodes", "64"]
    command += ["--prompts-per-update", "8", "--group-size", "2", "--max-new-tokens", "4", "--eval-episodes", "8"]
    for more in ["--out", str(tmp_path / "run")], ["--resume", "--out", str(tmp_path / "run")]:
        done = subprocess.run(
            [sys.executable, *command, *more],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert "16 in an update of 2 processes" in done.stdout
        assert done.stdout.count("Before:") == done.stdout.count("Folder:") == 1
        command = command[: command.index("train") + 1]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["time/total_timesteps"] for line in lines] == [16, 32, 48, 64]
    assert (tmp_path / "run/summary.json").exists() and (tmp_path / "run/model/config.json").exists()
    assert len(list((tmp_path / "run/tensorboard").iterdir())) == 1
    alone = GRPO.load(tmp_path / "run/checkpoint", gym.make("TextMath-v0"))
    saved = CausalLM.load(tmp_path / "run/model").model.state_dict()
    torch.testing.assert_close(alone.policy.model.state_dict(), saved, rtol=0, atol=0)


def test_what_does_not_divide_is_named():
    with pytest.raises(ValueError, match=r"prompts_per_update must be a multiple .* got 8 and 1 \* 3"):
        GRPO("tiny", "TextMath-v0", prompts_per_update=8, gradient_accumulation_steps=3)


if __name__ == "__main__":
    folder, shards_each, *names = sys.argv[1:]
    if names == ["die"] and processes().process_index == 1:
        os._exit(3)
    names = ["grpo" if name == "die" else name for name in names]
    results = {name: train(name, int(shards_each), folder) for name in names}
    if processes().is_main_process:
        torch.save(results, Path(folder) / "results.pt")
