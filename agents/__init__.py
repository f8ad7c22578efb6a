"""Who answers, and how they learn. Importing a name loads torch and transformers; importing this does not."""

from textgym._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "alarm": ["HackingAlarm", "LogMonitors"],
        "dpo": ["DPO"],
        "evaluation": ["evaluate", "evaluate_samples"],
        "expert_iteration": ["ExpertIteration"],
        "grpo": ["GRPO"],
        "judge_annotator": ["JudgeAnnotator"],
        "policy": ["CausalLM"],
        "ppo": ["PPO"],
        "preferences": ["OracleAnnotator", "read_preferences", "sample_pairs", "write_preferences"],
        "reinforce": ["REINFORCE"],
        "reward_ensemble": ["RewardEnsemble"],
        "reward_model": ["RewardModel"],
        "sampling": ["sample"],
        "sft": ["SFT"],
        "tabular": ["PolicyIteration", "QLearning", "ValueIteration"],
    },
)
