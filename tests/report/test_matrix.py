import json

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="needs pip install 'textgym[bench]'")

from textgym.bench.statistics import iqm, probability_of_improvement
from textgym.report import write_report
from textgym.report.cells import read_cells
from textgym.report.comparison import Bench, with_interval
from textgym.report.matrix import matrix_page
from textgym.report.page import render_html, render_markdown


def sections(folder):
    return {section.id: section for section in matrix_page(folder).sections}


def notices(folder):
    return " ".join(notice.text for notice in matrix_page(folder).notices)


def rows(table):
    """The cells of a table as text, by the first of each row."""
    return {row[0]: [getattr(cell, "text", cell) for cell in row[1:]] for row in table.rows}


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def folder(make_matrix):
    return make_matrix()


def scores_of(folder, agent, low):
    """Normalised by hand: the oracle of these cells is 1."""
    raw = [
        [json.loads((folder / f"{env}--{agent}--seed{seed}/result.json").read_text())["score"] for seed in range(5)]
        for env in ("TextMath", "TextSort")
    ]
    return ((np.array(raw) - low) / (1 - low)).T


def test_success_is_the_mean_over_seeds(folder):
    found = sections(folder)["success"].tables
    raw = scores_of(folder, "grpo", 0.0)[:, 0]
    assert rows(found[0])["grpo"][0] == f"{raw.mean():.1%} ± {100 * raw.std(ddof=1):.1f}"
    assert list(rows(found[0])) == [
        "ppo", "grpo", "expert_iteration", "sft", "sb3_ppo", "sb3_dqn", "random", "oracle", "warm_start",
    ]  # fmt: skip
    assert rows(found[0])["oracle"] == ["100.0%", "100.0%"]
    assert found[2].caption.startswith("pass@8")


def test_tables_and_curves_say_of_how_many_they_are(folder):
    """The folder has 5 seeds; 100 problems everywhere but on one task, of which 50 are for pass@8."""
    for path in folder.glob("TextSort--*/result.json"):
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"before": result["before"] | {"problems": 23}}))
    first = json.loads((folder / "TextMath--expert_iteration--seed0/result.json").read_text())
    protocol = {"cell": first["cell"] | {"protocol": {"pass_problems": 50}}}
    edit(folder / "TextMath--expert_iteration--seed0/result.json", **protocol)
    found = sections(folder)
    greedy, _, passed = (table.note for table in found["success"].tables)
    assert "100 held-out problems (TextSort: 23); mean over 5 seeds ± their standard deviation" in greedy
    assert "50 held-out problems (TextSort: 23)" in passed and greedy in render_markdown(matrix_page(folder))
    (folder / "TextMath--sft--seed0/result.json").unlink()
    found = sections(folder)
    assert "mean over 4 to 5 seeds" in found["curves"].charts[0].caption
    profile = found["profiles"].charts[0]
    assert "4 to 5 seeds × 2 environments" in profile.caption and "where there are 5 seeds" in profile.caption


def test_charts_of_one_kind_stand_together(folder):
    assert [(chart.title, chart.note[:8]) for chart in sections(folder)["curves"].charts] == [
        ("TextMath", "language"), ("TextSort", "language"), ("TextMath", "agents t"), ("TextSort", "agents t"),
    ]  # fmt: skip


def test_what_learns_nothing_is_shown_once(folder):
    cards = matrix_page(folder).cards
    labels = {tuple(a["label"] for a in card["answers"]) for card in cards if card["agent"] in ("random", "oracle")}
    assert labels == {("nothing learns",)}
    assert {len(card["answers"]) for card in cards if card["agent"] == "grpo"} == {2}


def test_aggregates_are_those_of_the_scores_and_the_best_is_first(folder):
    section = sections(folder)["aggregates"]
    table = rows(section.tables[0])
    for agent, low in ("grpo", 0.2), ("sb3_ppo", 0.0):
        scores = scores_of(folder, agent, low)
        begins, shown, mean, gap, size = table[agent]
        assert begins == ("nothing" if agent == "sb3_ppo" else "language model") and size == "5 × 2"
        number, low_end, high_end = map(
            float, shown.replace("−", "-").replace("[", "").replace("]", "").replace(",", "").split()
        )
        assert number == pytest.approx(float(iqm(scores)), abs=0.006) and low_end <= number <= high_end
        assert float(mean.split()[0]) == pytest.approx(scores.mean(), abs=0.006)
        assert float(gap.split()[0]) == pytest.approx(np.maximum(0, 1 - scores).mean(), abs=0.006)
    values = [float(shown[1].split()[0].replace("−", "-")) for shown in table.values()]
    assert values == sorted(values, reverse=True) and set(table) & {"random", "oracle", "warm_start"} == set()
    assert [series.label for series in section.charts[0].series] == list(table)


def test_only_agents_that_begin_alike_are_compared(folder):
    learning, classic = sections(folder)["improvement"].tables
    value = float(probability_of_improvement(scores_of(folder, "grpo", 0.2), scores_of(folder, "sft", 0.2)))
    found = rows(learning)["grpo"][list(learning.header[1:]).index("sft")]
    assert found.startswith(f"{value:.2f} [")
    assert rows(learning)["grpo"][list(learning.header[1:]).index("grpo")] == ""
    assert list(rows(classic)) == ["sb3_ppo", "sb3_dqn"]


def test_profiles_and_curves(folder):
    found = sections(folder)
    profile = {series.label: series for series in found["profiles"].charts[0].series}["grpo"]
    scores = scores_of(folder, "grpo", 0.2)
    assert profile.y[25] == (scores > 0.5).mean() and profile.low[25] <= profile.y[25] <= profile.high[25]
    chart = found["curves"].charts[0]
    curve = {series.label: series for series in chart.series}["grpo"]
    last = scores_of(folder, "grpo", 0.0)[:, 0]
    assert chart.title == "TextMath" and list(curve.x) == [100.0 * i for i in range(11)]
    assert (curve.y[-1], curve.low[-1], curve.high[-1]) == pytest.approx((last.mean(), last.min(), last.max()))


def test_samples_to_a_level_with_runs_that_never_get_there(folder):
    half, most, area = sections(folder)["efficiency"].tables
    # A curve rises in eight looks, and stays: half of a score s is reached at ceil(8 * 0.5 / s) looks.
    scores = scores_of(folder, "grpo", 0.2)[:, 0]
    times = sorted(100 * int(np.ceil(8 * 0.5 / score - 1e-9)) for score in scores)
    assert rows(half)["grpo"][0] == f"{times[2]} (5/5)"
    assert rows(most)["sft"][0] == "> 1k (0/5)"
    got = sum(scores_of(folder, "expert_iteration", 0.2)[:, 0] >= 0.5)
    assert rows(half)["expert_iteration"][0].endswith(f"({got}/5)")
    assert float(rows(area)["grpo"][0]) == pytest.approx(scores.mean() * 0.6, abs=0.01)  # a ramp, and two flat tenths


def test_compute(folder):
    found = rows(sections(folder)["compute"].tables[0])["ppo"]
    assert found == ["10", "1k", "8k", "50", "10.0 s", "60%", "10%", "300 MB"]


def test_answers_can_be_looked_through(folder, make_matrix):
    cards = matrix_page(folder).cards
    assert len(cards) == 4 * 2 * (6 * 5 + 3)
    assert {card["env"] for card in cards} == {"TextMath", "TextSort"} and {card["seed"] for card in cards} == set(
        "01234"
    )
    assert {card["outcome"] for card in cards} == {"gained", "wrong"}


def test_failed_and_unfinished_cells_are_named_and_left_out(folder):
    (folder / "TextMath--grpo--seed0/result.json").unlink()
    (folder / "TextMath--grpo--seed0/error.txt").write_text("Traceback\nValueError: too <b>big</b>\n")
    (folder / "TextSort--sft--seed1/result.json").unlink()
    edit(folder / "TextSort--ppo--seed2/result.json", score=None)
    page = matrix_page(folder)
    assert page.state == "63 of 66 cells finished" and not page.is_complete
    failed = rows(sections(folder)["failed"].tables[0])
    assert failed["TextMath--grpo--seed0"] == ["ValueError: too <b>big</b>"]
    assert "no answer could be scored" in failed["TextSort--ppo--seed2"][0] and len(failed) == 2
    (folder / "TextSort--sft--seed1/progress.json").write_text('{"done": 250, "budget": 1000}')
    assert rows(sections(folder)["cells"].tables[0])["TextSort--sft--seed1"][0] == "25% done"
    assert "2 cells have failed" in notices(folder) and "1 cell has not finished" in notices(folder)
    table = rows(sections(folder)["aggregates"].tables[0])
    assert table["grpo"][-1] == "4 × 2" and "[" not in table["grpo"][1] and "[" in table["expert_iteration"][1]


def test_few_seeds_get_no_intervals_and_a_warning(make_matrix):
    folder = make_matrix(seeds=2)
    assert "have 2 seeds only" in notices(folder)
    assert "[" not in render_markdown(matrix_page(folder)).replace("\\[", "")


def test_without_an_oracle_nothing_is_normalised(make_matrix):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    (folder / "TextMath--oracle--seed0/result.json").unlink()
    found = sections(folder)
    assert "TextMath cannot be normalised" in notices(folder)
    assert {"aggregates", "improvement", "profiles", "efficiency"} & set(found) == set() and "success" in found


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"cell": {"id": 3}, "score": 1}', '{"cell": 1, "score": "x"}']
)
def test_a_broken_result_is_a_failed_cell(make_matrix, content):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    (folder / "TextMath--grpo--seed0/result.json").write_text(content)
    cells = read_cells(folder)
    assert len(cells.results) == 8 and len(cells.planned) == 9
    assert "TextMath--grpo--seed0" in {**cells.errors, **cells.under_way}


def test_a_foreign_cell_is_left_out(make_matrix):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    edit(folder / "TextMath--grpo--seed0/cell.json", agent="stranger")
    assert len(read_cells(folder).planned) == 8 and "TextMath--grpo--seed0 is left out" in notices(folder)


def test_what_differs_between_cells_is_named(make_matrix):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    path = folder / "TextMath--grpo--seed0/result.json"
    edit(path, versions={"torch": "3"}, problems_sha256="other", git_commit="abcdef012")
    found = notices(folder)
    assert "versions of torch (2, 3)" in found and "held-out problems of TextMath-v0" in found
    assert "commits of textgym (" in found and "abcdef0" in found


def test_results_on_the_train_split_are_called_so(make_matrix):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    assert "nothing here was held out" not in notices(folder)
    for part in "cell", "result":
        path = folder / f"TextMath--grpo--seed0/{part}.json"
        found = json.loads(path.read_text())
        (found if part == "cell" else found["cell"])["protocol"]["split"] = "train"
        path.write_text(json.dumps(found))
    assert "nothing here was held out" in notices(folder)


def test_a_curve_is_normalised_by_its_own_beginning(make_matrix):
    """Its looks are at fewer problems than the score: what the agent does there before it learns is 0."""
    folder = make_matrix()
    for path in folder.glob("TextMath--grpo--*/curve.jsonl"):
        lines = [json.loads(line) | {"greedy": 0.3} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    area = sections(folder)["efficiency"].tables[2]
    assert float(rows(area)["grpo"][0]) == 0.0


def test_nothing_finished_yet_is_a_page_that_says_so(make_matrix):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    for path in folder.glob("*/result.json"):
        path.unlink()
    assert "9 cells have not finished" in render_html(matrix_page(folder))


def test_policies_are_named_where_there_are_several(make_matrix):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    results = read_cells(folder).results
    assert "grpo" in Bench(folder, results).rows
    [other] = [json.loads(json.dumps(r)) for r in results if r["cell"]["agent"] == "grpo"]
    other["cell"]["policy"] = "big"
    assert {"grpo (tiny)", "grpo (big)", "sb3_ppo"} <= set(Bench(folder, [*results, other]).rows)


def test_hostile_names_are_text(make_matrix, hostile):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    for name in ("cell.json", "result.json"):
        path = folder / f"TextMath--grpo--seed0/{name}"
        cell = json.loads(path.read_text())
        names = {"agent_name": hostile}
        path.write_text(json.dumps(cell | names if name == "cell.json" else cell | {"cell": cell["cell"] | names}))
    page = matrix_page(folder)
    assert render_html(page).count("<script") == 2
    assert "\n\n" not in render_markdown(page).split("deviation\n\n")[1].split("\n\n**")[0]


def test_the_files(make_matrix):
    files = write_report(make_matrix(seeds=1, envs=("TextMath",)))
    assert {file.name for file in files} == {
        "index.html", "tables.md", "iqm.png", "profile-learning.png", "profile-classic.png",
        "curve-learning-textmath.png", "curve-classic-textmath.png",
    }  # fmt: skip
    assert "| oracle | 100.0% |" in files[1].read_text()


def test_an_interval_stands_behind_its_number():
    assert with_interval(-0.5, -0.75, 0.25) == "−0.50 [−0.75, 0.25]"
    assert with_interval(0.5, np.nan, np.nan) == "0.50"
