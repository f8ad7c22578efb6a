"""Speed beside other people's tools: sampling, a GRPO update, envs, verifiers, memory. JSON lines, each with a ratio.

    python benchmarks/speed.py                                  # what runs on this machine
    python benchmarks/speed.py sample-tiny-64 envs --rounds 7
    python benchmarks/speed.py sample-smollm2 --gguf SmolLM2-135M-Instruct.Q4_1.gguf
    python benchmarks/speed.py sample-135m update-135m --device cuda

Every peer is measured in processes of its own, one after the other in each round, so that a busy machine slows all;
the ratio is the median over the rounds of (theirs / ours) in seconds for the same work. A peer that is not installed,
or can't run here, is named with the reason; one that takes over a minute is measured in the first round alone, and one
that takes more than ``--limit`` seconds is given up. Rows of verifiers and memory are scripts of their own, which pair
what they measure themselves. The time to the same success takes half an hour: grpo_vs_trl.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLING = {
    # policy, batch, size of groups, new tokens, whether responses end where the model stops
    "sample-tiny-64": ("tiny", 64, 8, 64, True),
    "sample-tiny-256": ("tiny", 256, 8, 64, True),
    "sample-tiny-64-full": ("tiny", 64, 8, 64, False),
    "sample-smollm2": ("gguf", 32, 8, 64, True),
    "sample-135m": ("135m", 256, 8, 256, False),
}
ROWS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(SAMPLING, ("textgym", "generate", "generate_batch", "vllm")),
    "update-tiny": ("textgym", "trl"),
    "update-135m": ("textgym", "trl"),
    "envs": ("textgym", "SyncVectorEnv", "gem", "textarena"),
}
SCRIPTS = {"verifiers-math": "math_verifier.py", "verifiers-code": "sandbox.py", "logprob-memory": "logprob_memory.py"}
DEFAULT = ("sample-tiny-64", "sample-tiny-256", "sample-tiny-64-full", "update-tiny", "envs", *SCRIPTS)
SLOW = 60
"""Seconds in a round after which a peer is not measured again."""
BANDWIDTH = {"H100": 3.35e12, "H200": 4.8e12, "A100": 2.0e12}
"""Bytes a second from memory, by the makers' data sheets."""

Measured = dict[str, Any]
"""``seconds`` for the work of a row, and what else is of interest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join((*ROWS, *SCRIPTS))}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=150, help="seconds that a peer may take in a round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gguf", help="SmolLM2-135M-Instruct as a GGUF file")
    parser.add_argument("--peer", help=argparse.SUPPRESS)  # in the processes that this one starts
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if unknown := sorted(set(args.rows) - {*ROWS, *SCRIPTS}):
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join((*ROWS, *SCRIPTS))}")
    if args.peer:
        print(json.dumps(measure(args.rows[0], args.peer, args.device, args.gguf)))
        return
    for row in args.rows or DEFAULT:
        if row in SAMPLING and SAMPLING[row][0] == "gguf" and not args.gguf:
            parser.error(f"{row} needs --gguf FILE")
        if row in SCRIPTS:
            subprocess.run([sys.executable, str(Path(__file__).with_name(SCRIPTS[row]))], check=True)
        else:
            print(json.dumps(compare(row, args)), flush=True)


def compare(row: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure all peers of a row, round after round."""
    results: dict[str, list[Measured]] = {peer: [] for peer in ROWS[row]}
    absent: dict[str, str] = {}
    slow: set[str] = set()
    for _ in range(args.rounds):
        for peer in ROWS[row]:
            if peer in absent or peer in slow:
                continue
            command = [sys.executable, __file__, row, "--peer", peer, "--device", args.device]
            command += ["--gguf", args.gguf] if args.gguf else []
            began = time.perf_counter()
            code, out, err = run_apart(command, args.limit)
            if code:
                absent[peer] = (err.strip().splitlines() or ["no message"])[-1][:200]
            else:
                results[peer].append(json.loads(out.splitlines()[-1]))
            if time.perf_counter() - began > SLOW and peer != "textgym":
                slow.add(peer)
    if absent.pop("textgym", None):
        raise SystemExit(f"{row} failed: run it with --peer textgym to see why")
    line: dict[str, Any] = {"benchmark": "speed", "row": row, "device": args.device, "machine": platform.machine()}
    line |= {"cpus": os.cpu_count(), "rounds": args.rounds, "not_measured": absent}
    ours = [each["seconds"] for each in results["textgym"]]
    for peer, rounds in results.items():
        if rounds:
            seconds = [each["seconds"] for each in rounds]
            line[peer] = rounds[-1] | {"seconds": round(statistics.median(seconds), 4)}
            ratios = [theirs / own for theirs, own in zip(seconds, ours, strict=False)]  # a slow peer's are fewer
            line[peer]["times_textgym"] = round(statistics.median(ratios), 2)
            line[peer]["ratios"] = [round(ratio, 2) for ratio in ratios]
    return line


def run_apart(command: list[str], limit: float) -> tuple[int, str, str]:
    """Run a command; return its exit status and what it printed. At the limit it and all that it started are killed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except BaseException as error:  # it must not go on under what is measured next
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return 1, "", f"took more than {limit:g} seconds"
            raise
    return process.returncode, out, err


def measure(row: str, peer: str, device: str, gguf: str | None) -> Measured:
    """Measure one peer: what it repeats for two seconds, after one time that warms up."""
    import torch

    if row == "envs":
        work = env_steps(peer)
    elif row in SAMPLING:
        work = sampling(peer, device, gguf, *SAMPLING[row])
    else:
        work = update(peer, device, row.removeprefix("update-"))
    work()
    seconds: list[float] = []
    tokens = 0
    while sum(seconds) < 2:
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        extra = dict(work())
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        tokens += extra.pop("tokens", 0)
    result = {"seconds": statistics.median(seconds), **extra}
    if tokens:  # lengths as they fall differ from time to time: seconds for 1000 tokens
        result["tokens_per_second"] = round(tokens / sum(seconds))
        result["seconds"] = 1000 * sum(seconds) / tokens
    if floor := result.pop("floor_bytes", None):
        name = torch.cuda.get_device_name() if device == "cuda" else ""
        known = [rate for part, rate in BANDWIDTH.items() if part in name]
        if known:
            result["fraction_of_bandwidth_floor"] = round(floor / known[0] / seconds[-1], 3)
    return result


# --- sampling ---------------------------------------------------------------------------------------------------------


def sampling(
    peer: str, device: str, gguf: str | None, which: str, batch: int, group: int, new_tokens: int, stop: bool
) -> Callable[[], Measured]:
    """Return what samples ``batch`` responses to problems of TextMath-v0 at temperature 1."""
    import gymnasium as gym
    import torch
    from transformers import GenerationConfig

    import textgym  # noqa: F401
    from textgym.agents.sampling import pad_left, sample

    policy = make_policy(which, device, gguf)
    env = gym.make_vec("TextMath-v0", num_envs=batch, group_size=group)
    texts, _ = env.reset(seed=0)
    prompts = [policy.tokenizer.encode_prompt(text) for text in texts]
    stop_id, pad_id = policy.tokenizer.stop_id, policy.tokenizer.pad_id
    generator = torch.Generator(policy.device).manual_seed(0)
    floor = {} if stop else {"floor_bytes": bytes_read(policy.model, prompts, new_tokens)}

    def ours() -> Measured:
        drawn = sample(policy, prompts, max_new_tokens=new_tokens, generator=generator, ignore_stop=not stop)
        return {"tokens": int(drawn.token_mask.sum()), **floor}

    if peer == "textgym":
        return ours
    config = GenerationConfig(
        max_new_tokens=new_tokens,
        min_new_tokens=None if stop else new_tokens,
        do_sample=True,
        top_k=0,
        top_p=1.0,
        eos_token_id=stop_id if stop else None,
        pad_token_id=pad_id,
    )
    plain = policy.model
    if peer == "generate":
        ids, mask = pad_left(prompts, pad_id, policy.device)

        def theirs() -> Measured:
            out = plain.generate(ids, attention_mask=mask, generation_config=config)[:, ids.shape[1] :]
            ended = (out == stop_id).cumsum(1) if stop else torch.zeros_like(out)
            return {"tokens": int((ended - (out == stop_id).long() * bool(stop) == 0).sum()), **floor}

        return theirs
    if peer == "generate_batch":
        from transformers import ContinuousBatchingConfig

        pages = sum(-(-(len(prompt) + new_tokens) // 256) for prompt in prompts)
        # by itself it takes most of the memory, which on a CPU costs more time than the work
        room = {} if device == "cuda" else {"num_blocks": pages, "max_batch_tokens": 4096}
        settings = {
            "generation_config": config,
            "continuous_batching_config": ContinuousBatchingConfig(**room),
            "persistent_manager": True,  # set up once
        }

        def theirs() -> Measured:
            out = plain.generate_batch(prompts, **settings)
            if len(out) < batch:
                raise RuntimeError(f"generate_batch finished {len(out)} of {batch} requests")
            return {"tokens": sum(len(each.generated_tokens) for each in out.values()), **floor}

        return theirs
    return vllm_sampler(policy, prompts, new_tokens, stop, floor)


def vllm_sampler(policy: Any, prompts: Any, new_tokens: int, stop: bool, floor: Measured) -> Callable[[], Measured]:
    import tempfile

    from vllm import LLM, SamplingParams

    folder = tempfile.mkdtemp()
    policy.save(folder)
    engine = LLM(folder, dtype=str(policy.model.dtype).removeprefix("torch."), gpu_memory_utilization=0.5)
    params = SamplingParams(temperature=1.0, max_tokens=new_tokens, ignore_eos=not stop)

    def theirs() -> Measured:
        out = engine.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        return {"tokens": sum(len(each.outputs[0].token_ids) for each in out), **floor}

    return theirs


def make_policy(which: str, device: str, gguf: str | None) -> Any:
    """Return ``tiny``, the GGUF file, or random weights in the shape of SmolLM2-135M, bfloat16 on a GPU."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from textgym.agents import CausalLM
    from textgym.agents.loading import load_tokenizer

    if which != "135m":
        return CausalLM.load("tiny" if which == "tiny" else gguf, device=device)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, tie_word_embeddings=True, bos_token_id=None,
    )  # fmt: skip
    tokenizer = load_tokenizer("tiny")
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model = LlamaForCausalLM(config).to(device, torch.bfloat16 if device == "cuda" else torch.float32)
    return CausalLM(model, tokenizer)


def bytes_read(model: Any, prompts: Any, new_tokens: int) -> int:
    """Return the bytes that no decoder can avoid: at each step all weights, and the keys and values so far."""
    config, size = model.config, model.dtype.itemsize
    weights = sum(parameter.numel() for parameter in model.parameters()) * size
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    column = 2 * config.num_hidden_layers * config.num_key_value_heads * head * size
    columns = sum(len(prompt) + t for prompt in prompts for t in range(new_tokens))
    return weights * new_tokens + column * columns


# --- a GRPO update ----------------------------------------------------------------------------------------------------

UPDATES = {"tiny": (64, 4, 8), "135m": (16, 8, 256)}  # prompts, group size, new tokens


def update(peer: str, device: str, which: str) -> Callable[[], Measured]:
    """Return what makes one GRPO update: sample, reward, learn."""
    prompts, group, new_tokens = UPDATES[which]
    policy = make_policy(which, device, None)
    if peer == "textgym":
        from textgym.agents import GRPO
        from textgym.bench.meter import Meter

        agent = GRPO(
            policy, "TextMath-v0", prompts_per_update=prompts, group_size=group, max_new_tokens=new_tokens,
            learning_rate=1e-6, drop_zero_variance=False,
        )  # fmt: skip

        meter = Meter(agent)

        def ours() -> Measured:
            before, began = dict(meter.costs), time.perf_counter()
            metrics = agent.update()
            agent.num_updates += 1
            seconds = time.perf_counter() - began
            shares = {
                f"share_{part}": round((meter.costs[f"seconds_{part}"] - before[f"seconds_{part}"]) / seconds, 3)
                for part in ("env", "sampling")
            }
            return {"ep_len_mean": round(metrics["rollout/ep_len_mean"], 1)} | shares

        return ours
    return trl_update(policy, prompts, group, new_tokens, device)


def trl_update(policy: Any, prompts: int, group: int, new_tokens: int, device: str) -> Callable[[], Measured]:
    """Return what makes one step of TRL's trainer, which runs in a thread of its own and waits to be asked."""
    import queue
    import tempfile
    import threading

    import gymnasium as gym
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    import textgym  # noqa: F401
    from textgym.envs import Problem

    env = gym.make_vec("TextMath-v0", num_envs=1).unwrapped.envs[0]
    env.reset(seed=0)
    problems = [env.choose(None) for _ in range(prompts * 8)]
    render = policy.tokenizer.hf.apply_chat_template
    rows = [
        {"prompt": render([{"role": "user", "content": each.prompt}], tokenize=False), "answer": each.answer}
        for each in problems
    ]
    lengths: list[int] = []

    def reward(completions: list[str], answer: list[str], completion_ids: Any, **_: object) -> list[float]:
        lengths[:] = [len(ids) for ids in completion_ids]
        return env.reward([Problem("", a) for a in answer], completions).total.tolist()

    asked: queue.Queue[None] = queue.Queue()
    finished: queue.Queue[None] = queue.Queue()

    class OneByOne(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            asked.get()

        def on_step_end(self, args, state, control, **_):
            finished.put(None)

    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), learning_rate=1e-6, max_steps=10**6, per_device_train_batch_size=prompts * group,
        num_generations=group, max_completion_length=new_tokens, scale_rewards="none", loss_type="dapo", beta=0.0,
        gradient_checkpointing=False, bf16=device == "cuda", use_cpu=device == "cpu", report_to="none",
        save_strategy="no", logging_steps=10**6, disable_tqdm=True, disable_dropout=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = GRPOTrainer(
        policy.model, reward, config, train_dataset=Dataset.from_list(rows), processing_class=policy.tokenizer.hf,
        callbacks=[OneByOne()],
    )  # fmt: skip
    threading.Thread(target=trainer.train, daemon=True).start()

    def theirs() -> Measured:
        asked.put(None)
        finished.get(timeout=600)
        return {"ep_len_mean": round(statistics.mean(lengths), 1)}

    return theirs


# --- stepping envs ----------------------------------------------------------------------------------------------------

ENVS, STEPS, HIGH, TURNS = 64, 200, 50, 7


def env_steps(peer: str) -> Callable[[], Measured]:
    """Return what plays 200 steps of guess the number in 64 envs, with the same random guesses in each's own format."""
    import numpy as np

    guesses = np.random.default_rng(0).integers(1, HIGH + 1, (STEPS, ENVS)).tolist()
    form = {"gem": "\\boxed{%d}", "textarena": "[%d]"}.get(peer, "%d")
    actions = [[form % guess for guess in row] for row in guesses]
    if peer == "textarena":
        return textarena_steps(actions)
    if peer == "gem":
        import gem

        env = gem.make_vec(["game:GuessTheNumber-v0-hard"] * ENVS, vec_kwargs=[{}] * ENVS, async_mode=False)
    else:
        import gymnasium as gym
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        import textgym  # noqa: F401

        settings = {"high": HIGH, "turns": TURNS}
        if peer == "textgym":
            env = gym.make_vec("TextGuessNumber-v0", num_envs=ENVS, **settings)
        else:
            make = lambda: gym.make("TextGuessNumber-v0", disable_env_checker=True, **settings)  # noqa: E731
            env = SyncVectorEnv([make] * ENVS, autoreset_mode=AutoresetMode.SAME_STEP)

    def play() -> Measured:
        env.reset(seed=0)
        for row in actions:
            env.step(row)
        return {"steps": STEPS * ENVS}

    return play


def textarena_steps(actions: list[list[str]]) -> Callable[[], Measured]:
    """Return the same for TextArena, which has no vector envs: a loop."""
    import textarena

    envs = [textarena.make("GuessTheNumber-v0-raw") for _ in range(ENVS)]
    for env in envs:
        env.min_number, env.max_number, env.max_turns = 1, HIGH, TURNS

    def play() -> Measured:
        for seed, env in enumerate(envs):
            env.reset(num_players=1, seed=seed)
        for row in actions:
            for env, action in zip(envs, row, strict=True):
                env.get_observation()
                done, _ = env.step(action)
                if done:
                    env.close()
                    env.reset(num_players=1)
        return {"steps": STEPS * ENVS}

    return play


if __name__ == "__main__":
    main()
