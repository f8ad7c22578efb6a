import html
import json
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="needs pip install 'textgym[bench]'")

from textgym.cli import main
from textgym.report import write_report
from textgym.report.answers import sample_cards, thinned
from textgym.report.page import as_data, render_html, render_markdown
from textgym.report.run import alarm_spans, run_page


def notices(folder):
    return " ".join(notice.text for notice in run_page(folder).notices)


def said(answer):
    """The text of an answer of one turn."""
    [turn] = answer["turns"]
    return turn["text"]


def charts(folder):
    return {
        chart.title: chart for section in run_page(folder).sections for chart in section.charts if not chart.is_empty
    }


@pytest.fixture
def fewer_columns(run_folder):
    """A log of three columns: charts take time."""
    path, names = run_folder / "metrics.jsonl", ("rollout/success_rate", "rollout/ep_rew_mean", "monitor/gold")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({name: line[name] for name in names}) + "\n" for line in lines))


def test_the_files(run_folder, tmp_path, fewer_columns):
    files = write_report(run_folder)
    assert files[0] == run_folder / "report/index.html"
    assert {file.name for file in files[1:]} == {
        "tables.md",
        "success.png",
        "rollout-ep-rew-mean.png",
        "monitor-gold.png",
    }
    assert all(file.read_bytes() for file in files)
    assert write_report(run_folder, tmp_path / "a/b")[0] == tmp_path / "a/b/index.html"


def test_the_command(run_folder, fewer_columns, capsys):
    assert main(["report", str(run_folder), "--out", str(run_folder / "page")]) == 0
    assert capsys.readouterr().out == f"The report is {run_folder}/page/index.html; beside it are md, png files.\n"
    assert (run_folder / "page/index.html").is_file()


def test_the_same_run_gives_the_same_page(run_folder, fewer_columns):
    assert render_html(run_page(run_folder)) == render_html(run_page(run_folder))


def test_results_with_their_standard_errors(run_folder):
    markdown = render_markdown(run_page(run_folder))
    assert "| most probable tokens | 25.0% ± 4.3 | 75.0% ± 4.3 | +50.0 points |" in markdown  # sqrt(.25 .75 / 100)
    assert "| sampled at temperature 1 | 20.0% ± 4.0 | 50.0% ± 5.0 | +30.0 points |" in markdown


def test_what_is_drawn(run_folder):
    found = charts(run_folder)
    assert set(found) == {
        "Success", "Reward", "KL to the initial policy, in nats an answer", "KL of an update, in nats a token",
        "Entropy of the policy, in nats a token", "monitor/gold", "reward/polite",
    }  # fmt: skip
    success = {series.label: (list(series.x), list(series.y)) for series in found["Success"].series}
    assert success["held-out, greedy"] == ([0, 6400], [0.25, 0.75])
    assert success["training"][0][:2] == [64, 128] and success["training"][1][0] == pytest.approx(0.2)


def test_a_reward_that_is_the_success_is_drawn_once(run_folder):
    path = run_folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(x | {"rollout/ep_rew_mean": x["rollout/success_rate"]}) + "\n" for x in lines))
    assert "Reward" not in charts(run_folder)


def test_the_alarm_is_marked_where_it_was_on(run_folder):
    assert charts(run_folder)["Reward"].alarms == [(4864.0, 6400.0)]  # from update 76 of 100, 64 episodes each
    assert "went off at 4,864 episodes, and was on at the end" in notices(run_folder)
    page = render_html(run_page(run_folder))
    assert "hacking alarm" in page
    assert "while the reward, which has risen, holds" in page and "the reward has risen and holds" in page
    flags = [{"alarm/hacking": value} for value in (0.0, 1.0, 1.0, 0.0, float("nan"), 1.0)]
    assert alarm_spans(flags, np.arange(6.0)) == [(1.0, 3.0), (5.0, 5.0)]
    assert alarm_spans([], np.arange(0.0)) == []


def test_answers_to_one_problem_stand_together(run_folder):
    cards = run_page(run_folder).cards
    assert [card["when"] for card in cards[:2]] == ["update 0", "update 10"] and len(cards) == 10
    assert {card["outcome"] for card in cards} == {"mixed"}
    assert [(a["label"], said(a), a["facts"][0]) for a in cards[1]["answers"]] == [
        ("2 times", "answer 0", "reward 0"), ("", "answer 1", "reward 1"), ("", "answer 1", "not scored"),
    ]  # fmt: skip


def test_outcomes_and_pairs_of_preferences():
    about = {"env": "e", "agent": "a", "policy": "", "seed": ""}

    def outcome(*rewards):
        return sample_cards([{"update": 0, "prompt": "p", "response": "r", "reward": r} for r in rewards], about)[0][
            "outcome"
        ]

    assert [outcome(1, 1), outcome(0, 1), outcome(0, -1), outcome(None, None)] == [
        "paid",
        "mixed",
        "unpaid",
        "unscored",
    ]
    [card] = sample_cards([{"update": 0, "prompt": "p", "chosen": "good", "rejected": "bad"}], about)
    assert [(said(a), a["mark"]) for a in card["answers"]] == [("good", "right"), ("bad", "wrong")]


def test_before_and_after_where_a_folder_has_them(run_folder):
    pair = {"prompt": "p", "response_before": "a", "reward_before": 0.0, "success_before": False}
    pair |= {"response_after": "b", "reward_after": 1.0, "success_after": True}
    (run_folder / "answers.jsonl").write_text(json.dumps(pair) + "\n")
    card = run_page(run_folder).cards[0]
    assert card["outcome"] == "gained" and [a["mark"] for a in card["answers"]] == ["wrong", "right"]
    # What could not be scored is not wrong.
    (run_folder / "answers.jsonl").write_text(json.dumps(pair | {"reward_before": None}) + "\n")
    card = run_page(run_folder).cards[0]
    assert card["outcome"] == "unscored" and card["answers"][0]["facts"] == ["not scored"]


def test_a_run_that_has_not_finished_shows_what_it_answered_before(run_folder):
    line = {"prompt": "p", "response_before": "a", "reward_before": 0.0, "success_before": False}
    (run_folder / "answers.jsonl").write_text(json.dumps(line) + "\n")
    card = run_page(run_folder).cards[0]
    assert card["outcome"] == "begun" and [a["label"] for a in card["answers"]] == ["before learning"]


def test_a_game_shows_who_said_what(run_folder):
    said = [("assistant", "16"), ("user", "lower"), ("assistant", "x" * 10_000), ("user", "y" * 100)]
    messages = [{"role": role, "content": content} for role, content in said]
    lines = [{"prompt": "p", "response_before": response, "response_after": "8"} for response in (messages, [], [3])]
    (run_folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    game, empty, odd = run_page(run_folder).cards[:3]
    turns = game["answers"][0]["turns"]
    assert [(turn["by"], turn["text"][:5], turn["cut"]) for turn in turns] == [
        ("policy", "16", 0), ("env", "lower", 0), ("policy", "xxxxx", 10_000 - 5_993 + 100),
    ]  # fmt: skip
    assert game["answers"][1]["turns"] == [{"by": "policy", "text": "8", "cut": 0}]
    assert [card["answers"][0]["turns"][0]["text"] for card in (empty, odd)] == ["[]", "[3]"]


def test_captions_say_what_lines_are(run_folder):
    found = charts(run_folder)
    assert (
        "an update of 64 episodes" in found["Success"].caption and "100 held-out problems" in found["Success"].caption
    )
    assert found["Entropy of the policy, in nats a token"].y_label == "nats a token"
    assert all(chart.caption and chart.x_label == "episodes" and chart.y_label for chart in found.values())
    assert found["Reward"].caption in html.unescape(render_html(run_page(run_folder)))
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["time/total_timesteps"]
    (run_folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert charts(run_folder)["Reward"].x_label == "updates"


def compute(folder):
    [section] = [section for section in run_page(folder).sections if section.id == "compute"]
    return {name: value for name, value in section.tables[0].rows}


def test_compute_of_a_run_is_counted_or_told_by_its_log(run_folder):
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    path = run_folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(line | {"rollout/ep_len_mean": 2.0}) + "\n" for line in lines))
    assert compute(run_folder) == {
        "updates": "100", "episodes": "6.4k", "tokens drawn, about": "12.8k", "learning, evaluation aside": "50.0 s",
        "episodes a second": "128", "tokens a second": "256",
    }  # fmt: skip
    cost = {"samples": 7000, "tokens": 70_000, "gradient_steps": 9, "seconds": 10.0, "seconds_sampling": 6.0}
    summary = json.loads((run_folder / "summary.json").read_text())
    (run_folder / "summary.json").write_text(json.dumps(summary | {"cost": cost, "machine": {"peak_memory_mb": 300}}))
    counted = compute(run_folder)
    assert (counted["tokens drawn"], counted["of it sampling"], counted["gradient steps"]) == ("70k", "60%", "9")
    assert (counted["episodes a second"], counted["peak memory of the process, in MB"]) == ("700", "300")


def test_curves_of_a_cell_without_a_log_end_where_it_ended(run_folder):
    (run_folder / "metrics.jsonl").unlink()
    points = [{"episodes": e, "greedy": e / 100, "problems": 50} for e in (0, 40, 80)]
    (run_folder / "curve.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    chart = charts(run_folder)["Success"]
    assert list(chart.series[0].x) == [0, 0, 40, 80, 80] and "of them 50 in between" in chart.caption
    assert "no curves" not in notices(run_folder)


def test_a_long_run_shows_some_of_its_answers():
    cards, note = thinned([{"i": i} for i in range(10)], 4)
    assert [card["i"] for card in cards] == [0, 2, 5, 7] and note.startswith("4 of 10 are here")
    assert thinned([{}], 4) == ([{}], "")
    long = [{"text": "x" * 988} for _ in range(100)]  # 1,000 characters of JSON each
    assert len(thinned(long, characters=20_000)[0]) == 20 and thinned(long, characters=100_000)[1] == ""


def test_a_very_long_answer_is_cut(run_folder, fewer_columns):
    line = {"update": 0, "prompt": "p" * 10**6, "response": "x" * 10**6, "reward": 1.0}
    (run_folder / "transcripts.jsonl").write_text(json.dumps(line) + "\n")
    [card] = run_page(run_folder).cards
    assert card["answers"][0]["turns"][0]["cut"] == card["cut"] == 10**6 - 6_000
    assert len(render_html(run_page(run_folder))) < 10**6


def test_what_a_model_wrote_is_data_and_never_markup(run_folder, fewer_columns):
    page = render_html(run_page(run_folder))
    page.encode()
    assert page.count("<script") == 2 and page.count("</script") == 2 and "<img" not in page and "<!--" not in page
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    shown = data["cards"][0]["answers"][0]["turns"][0]["text"]
    assert shown.startswith("<script>document.title") and "⟨U+0000⟩⟨U+001B⟩[2J⟨U+202E⟩gnp.exe⟨U+D800⟩" in shown
    assert "49" not in shown and "{{ 7 * 7 }}" in html.unescape(page)


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "]]>", "\u2028", "&lt;", "'\""])
def test_data_cannot_leave_its_element(text):
    data = as_data({"text": text})
    assert json.loads(data) == {"text": text} and not re.search("[<>&\u2028]", data)


def test_the_page_asks_for_nothing_and_runs_one_script(run_folder, fewer_columns):
    page = render_html(run_page(run_folder))
    assert not re.search(
        r"https?:|//[a-z]|@import|url\((?!#)|<link(?! rel=\"icon\" href=\"data:,\")|javascript:(?!alert)", page
    )
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


def test_markdown_keeps_to_its_cells(run_folder, hostile):
    config = json.loads((run_folder / "config.json").read_text())
    (run_folder / "config.json").write_text(json.dumps(config | {"agent": hostile + "\n# x"}))
    markdown = render_markdown(run_page(run_folder))
    markdown.encode()
    assert markdown.splitlines()[0].startswith("### \\<script\\>") and "\n# x" not in markdown
    assert "\\[x\\](javascript" in markdown and "\\|" in markdown


def test_a_run_that_was_killed(run_folder):
    (run_folder / "summary.json").unlink()
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write('{"rollout/ep_rew_m')
    page = run_page(run_folder)
    assert page.state == "not finished" and not page.is_complete
    assert "has not finished" in notices(run_folder)
    assert "1 line could not be read and left out (the last one was cut off while it was written): line 101" in notices(
        run_folder
    )
    assert "Success" in charts(run_folder) and "25.0%" in render_html(page)


@pytest.mark.parametrize("content", [None, "", "\n\n", "[1]\n3\nnull\n", "\0\xff[", "{}\n{}\n", '{"a/b": "text"}\n'])
def test_a_log_without_numbers(run_folder, content):
    (run_folder / "metrics.jsonl").unlink()
    if content is not None:
        (run_folder / "metrics.jsonl").write_text(content)
    page = render_html(run_page(run_folder))
    assert "held-out, greedy" in page  # before and after are known
    assert ("No update has been logged" in page) == (content is None or "{" not in content)


def test_numbers_that_are_none_are_named(run_folder):
    values = [float("nan"), float("inf"), 1e300, None, "x", [1], True, 10**400, 1.0]
    lines = [{"time/total_timesteps": i, "monitor/gold": v, "rollout/ep_rew_mean": 1.0} for i, v in enumerate(values)]
    (run_folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "no finite numbers, which the curves leave out: monitor/gold (7)" in notices(run_folder)
    assert "monitor/gold" in charts(run_folder)
    render_html(run_page(run_folder))


@pytest.mark.parametrize("name", ["config.json", "before.json", "summary.json", "transcripts.jsonl"])
@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '"x"', "[" * 100_000, '{"before": 3, "after": [1], "env": {"a": [1]}}']
)
def test_a_broken_file_is_named_or_harmless(run_folder, name, content):
    (run_folder / name).write_text(content)
    for other in ("config.json", "before.json", "summary.json", "transcripts.jsonl"):
        if other != name:
            (run_folder / other).unlink()
    (run_folder / "metrics.jsonl").write_text("{}\n")
    assert (
        name in render_html(run_page(run_folder)) or "before" in content or (name, content) == ("transcripts.jsonl", "")
    )


def test_a_run_that_failed(run_folder):
    (run_folder / "summary.json").unlink()
    (run_folder / "error.txt").write_text("Traceback\nValueError: <b>why</b>\n")
    page = run_page(run_folder)
    assert page.state == "failed" and "This run failed: ValueError: <b>why</b>" in notices(run_folder)
    assert "<b>" not in render_html(page)


def test_a_config_alone_is_a_page_that_says_so(tmp_path):
    (tmp_path / "config.json").write_text('{"agent": "grpo", "env": "TextMath-v0"}')
    page = render_html(run_page(tmp_path))
    assert "has not finished" in page and "No update has been logged" in page and "<svg" not in page


def test_the_log_of_an_agent_alone(run_folder):
    """What ``GRPO(..., logdir=folder)`` leaves without ``textgym train``."""
    for name in ("config.json", "before.json", "summary.json"):
        (run_folder / name).unlink()
    page = run_page(run_folder)
    assert page.title == "The log in run" and page.state == "a log" and "log of an agent alone" in notices(run_folder)
    assert "Reward" in charts(run_folder) and page.cards


def test_supervised_learning_has_neither_success_nor_reward(run_folder):
    (run_folder / "metrics.jsonl").write_text('{"train/loss": 1.0, "train/entropy": 0.5}\n')
    [learning] = [section for section in run_page(run_folder).sections if section.id == "learning"]
    assert "A success is worth" not in learning.text
    assert {chart.title for chart in learning.charts if not chart.is_empty} >= {
        "Success",
        "Entropy of the policy, in nats a token",
    }


def test_other_folders_are_named(tmp_path, run_folder):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"neither a run nor a benchmark.*in it there are .*run"):
        write_report(tmp_path)
    shutil.rmtree(run_folder)
    with pytest.raises(FileNotFoundError, match="neither a run nor a benchmark"):
        write_report(tmp_path)
