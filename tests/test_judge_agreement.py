"""benchmarks/judge_agreement.py: exact numbers for judges of known agreement."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from textgym.envs.rewards.judge import Judge, prompts

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "judge_agreement.py"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def pandalm(number, labels, first="good", second="a worse one"):
    row = {"instruction": f"Do {number}.", "input": "", "response1": first, "response2": second}
    return row | dict(zip(("annotator1", "annotator2", "annotator3"), labels, strict=True))


def llmbar(number, label, first="good", second="a worse one"):
    return {"input": f"Do {number}.", "output_1": first, "output_2": second, "label": label}


@pytest.fixture
def files(tmp_path):
    """Labels 1, 2, tie and tie (no majority) of one data set; Natural 1, 2 and Adversarial 2, 2 of the other."""
    (tmp_path / "pandalm.json").write_text(
        json.dumps([pandalm(i, labels) for i, labels in enumerate([(1, 1, 2), (2, 0, 2), (0, 0, 1), (0, 1, 2)])])
    )
    folder = tmp_path / "llmbar"
    folder.mkdir()
    (folder / "Natural.json").write_text(json.dumps([llmbar(0, 1), llmbar(1, 2)]))
    (folder / "Adversarial_Manual.json").write_text(json.dumps([llmbar(2, 2), llmbar(3, 2)]))
    return [tmp_path / "pandalm.json", folder]


def judge_of(choose):
    """A judge for which ``choose`` says what is better: of two texts, "A", "B" or "TIE"."""

    def backend(prompt):
        texts = prompts.unquoted(prompt)
        code = re.findall("^Better ([0-9a-f]{8}): X$", prompt, re.MULTILINE)[-1]
        return f"Better {code}: {choose(texts['QUESTION'], texts['RESPONSE A'], texts['RESPONSE B'])}"

    return Judge(["Be good."], "pairwise", backend=backend)


def measure(script, paths, choose):
    pairs = [pair for path in paths for pair in script["read_pairs"](path)]
    return script["report"](pairs, *script["ask"](judge_of(choose), pairs))


def test_labels_are_the_majority_and_a_tie_where_there_is_none(script, files):
    assert [pair.gold for pair in script["read_pairs"](files[0])] == [1.0, 0.0, 0.5, 0.5]
    assert [(pair.subset, pair.gold) for pair in script["read_pairs"](files[1])] == [
        ("Adversarial_Manual", 0.0), ("Adversarial_Manual", 0.0), ("Natural", 1.0), ("Natural", 0.0),
    ]  # fmt: skip


def test_a_judge_that_prefers_one_text_has_the_agreement_that_follows(script, files):
    result = measure(script, files, lambda question, a, b: "A" if a == "good" else "B")
    panda = result["pandalm"]
    assert (panda["pairs"], panda["decided"], panda["gold_ties"]) == (4, 2, 2)
    assert (
        panda["accuracy"] == panda["coin"] == 0.5 and panda["disagree"] == panda["judge_ties"] == panda["failed"] == 0
    )
    assert panda["kappa"] == 0.0  # agreed 1/4, by chance 1/4 as well
    assert panda["always the first"] == 0.5 and panda["the longer"] == 0.5
    assert result["Natural"]["accuracy"] == 0.5 and result["Adversarial_Manual"]["accuracy"] == 0.0
    assert result["Adversarial_Manual"]["the longer"] == 1.0 and result["Adversarial_Manual"]["always the first"] == 0.0
    assert result["llmbar, all"]["accuracy"] == 0.25 and result["llmbar, adversarial"]["pairs"] == 2


def test_a_judge_that_goes_by_the_place_decides_nothing(script, files):
    result = measure(script, files, lambda question, a, b: "A")["pandalm"]
    assert (result["decided"], result["accuracy"], result["interval"]) == (0, None, None)
    assert result["disagree"] == result["judge_ties"] == 1.0 and result["coin"] == 0.5
    assert result["kappa"] == 0.0  # 2 of 4 agree, and by chance 2 of 4 would


def test_a_perfect_judge_with_ties(script, files):
    said = {"Do 0.": "good", "Do 1.": "a worse one"}

    def choose(question, a, b):
        return "TIE" if question not in said else "A" if a == said[question] else "B"

    result = measure(script, files[:1], choose)["pandalm"]
    assert result["accuracy"] == result["kappa"] == result["coin"] == 1.0 and result["judge_ties"] == 0.5
    assert result["interval"] == pytest.approx((2 / (2 + 1.959964**2), 1.0))  # Wilson's lower end at 2 of 2


def test_what_the_judge_does_not_say_is_no_verdict(script, files):
    with pytest.warns(RuntimeWarning, match="verdicts failed"):
        result = measure(script, files[:1], lambda question, a, b: "A or B" if question == "Do 0." else "TIE")
    assert (
        result["pandalm"]["failed"] == 0.25 and result["pandalm"]["coin"] == 0.5 and result["pandalm"]["decided"] == 0
    )


def test_intervals_and_kappa_by_hand(script):
    assert script["wilson"](8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # statsmodels, method="wilson"
    assert script["wilson"](0, 0) is None
    table = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 15
    assert script["kappa"](table) == pytest.approx(0.4)  # agreed 0.7, by chance 0.5
    assert script["kappa"]([]) is None and script["kappa"]([(1.0, 1.0)]) is None


def test_pairs_are_chosen_by_seed_and_length_and_what_is_not_shown_is_left_out(script, files):
    pairs = [pair for path in files for pair in script["read_pairs"](path)]

    def choose(*settings):
        return script["choose_pairs"](pairs, judge_of(lambda *texts: "A"), *settings)

    assert [pair.subset == "pandalm" for pair in choose(2, 1_000, 0)] == [True, True, False, False]
    assert choose(2, 1_000, 0) == choose(2, 1_000, 0) and len({tuple(choose(2, 99, seed)) for seed in range(9)}) > 1
    assert choose(None, len("Do 0.good" + "a worse one") - 1, 0) == []
    pairs = [script["Pair"]("pandalm", "Do it.", first, second, 1.0) for first, second in [("x", ""), ("Do", "x")]]
    assert choose(None, 1_000, 0) == []


def test_other_files_are_refused(script, tmp_path):
    (tmp_path / "other.json").write_text('[{"prompt": "x"}]')
    with pytest.raises(ValueError, match="neither of PandaLM nor of LLMBar"):
        script["read_pairs"](tmp_path / "other.json")


def test_it_prints_a_table_and_a_line(files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["judge_agreement.py", *map(str, files), "--backend", "rules"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    *table, line = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert len(table) == 2 + len(result["subsets"]) == 7 and result["subsets"]["pandalm"]["pairs"] == 4
    assert result["usage"]["calls"] == 8 and result["read"] == 8  # the two data sets have the same texts here


@pytest.mark.skipif(not (DATA / "pandalm").is_dir(), reason="no copy of PandaLM and LLMBar beside the repository")
def test_the_published_files_are_read(script):
    pairs = [pair for name in ("pandalm", "llmbar") for pair in script["read_pairs"](DATA / name)]
    assert len(pairs) == 999 + 92 + 47 + 46 + 134 + 100 and len({pair.subset for pair in pairs}) == 6
    assert {pair.gold for pair in pairs if pair.subset == "pandalm"} == {0.0, 0.5, 1.0}
    assert {pair.gold for pair in pairs if pair.subset != "pandalm"} == {0.0, 1.0}
