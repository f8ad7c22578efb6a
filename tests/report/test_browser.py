"""The page in a real browser, from a file."""

import json
import time

import pytest

pytest.importorskip("jinja2", reason="needs pip install 'textgym[bench]'")

from textgym.agents.labelling.page import visible
from textgym.report import write_report


def show(browser, folder):
    browser.get(write_report(folder)[0].as_uri())


def resize(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def choose(browser, name, value):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.ID, f"filter-{name}")).select_by_value(value)


def click(browser, selector):
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def texts(browser, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)"
    return browser.execute_script(script, selector)


def count(browser):
    return int(texts(browser, "#count")[0].split()[0].replace(",", ""))


def test_filters(make_matrix, browser):
    show(browser, make_matrix(seeds=2))
    everything = 4 * 2 * (6 * 2 + 3)
    assert count(browser) == everything and len(texts(browser, ".card")) == 20
    click(browser, "#more")
    assert len(texts(browser, ".card")) == 40

    choose(browser, "env", "TextSort")
    assert count(browser) == everything // 2
    choose(browser, "agent", "sft")
    assert count(browser) == 8 and all("sft" in text and "of TextSort" in text for text in texts(browser, ".card"))
    choose(browser, "seed", "1")
    assert count(browser) == 4
    choose(browser, "outcome", "gained")
    assert set(texts(browser, ".about .outcome")) == {"wrong before, right after"} and 0 < count(browser) < 4
    choose(browser, "outcome", "wrong")
    assert set(texts(browser, ".about .outcome")) == {"wrong before and after"} and 0 < count(browser) < 4
    before, after = texts(browser, ".card:first-child .answer")
    assert before.startswith("before learning") and before.endswith("wrong") and after.endswith("still wrong")

    click(browser, "#filters button")
    time.sleep(0.1)
    assert count(browser) == everything
    click(browser, ".about button")  # the same problem, for all agents
    assert count(browser) == everything // 8 and len(set(texts(browser, ".prompt"))) == 1
    browser.execute_script(
        "const box = document.getElementById('search'); box.value = 'PROBLEM 3 of textmath';"
        "box.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert count(browser) == everything // 8 and set(texts(browser, ".prompt")) == {"problem 3 of TextMath"}
    assert browser.get_log("browser") == []


def test_a_game_shows_who_said_what(run_folder, browser):
    said = [("assistant", "16"), ("user", "lower"), ("assistant", "8")]
    messages = [{"role": role, "content": content} for role, content in said]
    line = {"prompt": "Guess.", "response_before": messages, "response_after": "8"}
    (run_folder / "answers.jsonl").write_text(json.dumps(line) + "\n")
    show(browser, run_folder)
    assert texts(browser, ".card:first-child .turns > *") == ["policy", "16", "environment", "lower", "policy", "8"]
    assert texts(browser, ".card:first-child .answer:last-child > .text") == ["8"]


def test_no_script_of_a_model_runs(run_folder, browser, hostile):
    line = {"update": 0, "prompt": hostile, "response": hostile, "reward": 1.0, "status": hostile}
    (run_folder / "transcripts.jsonl").write_text(json.dumps(line) + "\n")
    (run_folder / "metrics.jsonl").write_text(json.dumps({hostile + "/x": 1.0, "monitor/" + hostile: 1.0}) + "\n")
    show(browser, run_folder)
    time.sleep(0.3)
    assert browser.title == "ppo on TextRLHF-v0 · textgym report"
    assert texts(browser, ".card .text") == [visible(hostile)] * 2
    assert browser.execute_script("return document.querySelectorAll('main img, main a, .card script').length") == 0
    assert browser.get_log("browser") == []
    # Were the escaping to fail, the policy of the page would still stop it.
    browser.execute_script("document.body.innerHTML += arguments[0]", hostile.replace("\ud800", ""))
    time.sleep(0.3)
    assert browser.title == "ppo on TextRLHF-v0 · textgym report"


def test_nothing_is_wider_than_the_screen(make_matrix, browser):
    folder = make_matrix(seeds=1, envs=("TextMath",))
    show(browser, folder)
    for width in (320, 400, 800, 1600):
        resize(browser, width)
        script = "const {scrollWidth, clientWidth} = document.documentElement; return [scrollWidth, clientWidth]"
        scrolled, visible_width = browser.execute_script(script)
        assert scrolled == visible_width and width - 20 <= visible_width <= width


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_in_ci_an_installed_browser_must_start(request, monkeypatch, tmp_path, ci, outcome):
    (tmp_path / "chromium").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="a browser needs chromedriver"):
        request.getfixturevalue("browser")


def test_without_chromium_a_browser_is_skipped(request, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="a browser needs chromium and chromedriver"):
        request.getfixturevalue("browser")
