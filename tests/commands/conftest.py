"""What the tests of the commands share: a random model of the shape of "tiny"."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with the architecture and the tokenizer of "tiny", and random weights."""
    make_tiny = runpy.run_path(str(ROOT / "examples/make_tiny.py"))
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = make_tiny["make_tokenizer"]()
    tokenizer.save_pretrained(folder)
    make_tiny["make_model"](tokenizer).save_pretrained(folder)
    return folder
