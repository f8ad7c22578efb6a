"""Anything that changes one env into another env, one idea a file."""

from textgym.wrappers.record_transcripts import RecordTranscripts

__all__ = ["RecordTranscripts"]
