"""Anything that changes one env into another env, one idea a file."""

from textgym._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "choice_actions": ["ChoiceActions", "VectorChoiceActions"],
        "hidden_state": ["HiddenState", "VectorHiddenState"],
        "monitor_reward": ["MonitorReward", "VectorMonitorReward"],
        "record_transcripts": ["RecordTranscripts"],
        "reference_logprob": ["ReferenceLogProb", "VectorReferenceLogProb"],
        "top_k_actions": ["TopKActions", "VectorTopKActions"],
    },
)
