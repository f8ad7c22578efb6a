"""``textgym label`` as it is run: in this process up to the server, and as a process of its own in a real browser."""

import re
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

pytest.importorskip("starlette", reason="needs pip install 'textgym[web]'")

import urllib.error
import urllib.request

from textgym.agents.labelling import page
from textgym.agents.labelling.store import LabelStore
from textgym.agents.preferences import Preference, read_preferences
from textgym.cli import main


def label(*arguments):
    return main(["label", *map(str, arguments)])


@pytest.fixture
def served(monkeypatch):
    """What would have been served."""
    stores = []
    monkeypatch.setattr(page, "serve", lambda store, port: stores.append(store))
    return stores


def test_it_samples_once_and_goes_on(tmp_path, served, capsys):
    out = tmp_path / "new" / "labels.sqlite"
    command = ["--env", "TextMath-v0", "--env-kwargs", "difficulty=2", "--pairs", "6", "--max-new-tokens", "4"]
    assert label(*command, "--out", out) == 0
    before = [served[0].next("anna"), served[0].progress("anna").total]
    assert before[1] == 6 and before[0].prompt.startswith("What is ") and before[0].left != before[0].right
    assert served[0].origin["env_kwargs"] == {"difficulty": 2}
    served[0].judge(1, "anna", "left")
    assert label(*command, "--out", out) == label("--out", out) == 0
    assert [store.progress("anna").judged for store in served] == [1, 1, 1]
    assert served[2].progress("anna").total == 6
    assert f"textgym label --out {out}" in capsys.readouterr().out


def test_export(tmp_path, make_store, capsys):
    store = make_store(("p", "a", "b"), ("q", "c", "d"))
    for annotator in ("anna", "bert"):
        comparison = store.next(annotator)
        store.judge(1, annotator, "left" if comparison.left == "a" else "right")
    store.judge(2, "anna", "tie")
    assert label("--out", store.path, "--export", tmp_path / "pairs.jsonl") == 0
    assert read_preferences(tmp_path / "pairs.jsonl") == [Preference("p", "a", "b")] * 2
    first = (tmp_path / "pairs.jsonl").read_text().splitlines()[0]
    assert first == '{"prompt": "p", "chosen": "a", "rejected": "b"}'
    out = capsys.readouterr().out
    assert "2 preferences" in out and "anna and bert agree on 100% of 1 pairs" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "does not exist yet"),
        (["--export", "x.jsonl"], "does not exist yet"),
        (["--env", "TextGuessNumber-v0", "--max-new-tokens", "4"], "several turns"),
        (["--env", "TextMth-v0"], "Did you mean TextMath-v0"),
    ],
)
def test_bad_input_is_named(tmp_path, served, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert label(*arguments) == 2
    assert message in capsys.readouterr().err
    assert served == []


def test_pairs_of_another_env_want_another_file(make_store, served, capsys):
    assert label("--out", make_store(("p", "a", "b")).path, "--env", "TextSort-v0") == 2
    assert "has pairs of X; give TextSort-v0 another --out" in capsys.readouterr().err


def test_pairs_of_another_policy_want_another_file(tmp_path, served, capsys):
    settings = ("--out", tmp_path / "labels.sqlite", "--env", "TextMath-v0", "--max-new-tokens", "4", "--pairs", "2")
    assert label(*settings) == 0 and label(*settings) == 0
    assert label(*settings, "--seed", "7") == 2 and label(*settings, "--policy", "elsewhere") == 2
    error = capsys.readouterr().err
    assert "has pairs of seed 0; give seed 7 another --out" in error and "pairs of policy tiny; give" in error
    assert len(served) == 2


def test_a_wrong_name_leaves_no_file(tmp_path):
    assert label("--out", tmp_path / "labels.sqlite", "--env", "TextMth-v0") == 2
    assert label("--out", tmp_path / "labels.sqlite", "--env", "TextMath-v0", "--export", tmp_path / "pairs.jsonl") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_named(make_store, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert label("--out", make_store(("p", "a", "b")).path, "--port", taken.getsockname()[1]) == 2
    assert "in use" in capsys.readouterr().err


class Server:
    """``textgym label`` as a process."""

    def __init__(self, path):
        command = [sys.executable, "-m", "textgym", "label", "--out", str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = re.search(r"http://127\.0\.0\.1:\d+/\S+/", self.process.stdout.readline())[0]
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=10).close()
                return
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def serve(store):
    servers = []

    def start():
        servers.append(Server(store.path))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


class Annotator:
    """A person at the keyboard who prefers the answer that begins with "first", and remembers what they said."""

    def __init__(self, driver, url):
        self.driver = driver
        self.said = {}
        self.open(url)

    def open(self, url):
        from selenium.webdriver.common.by import By

        self.driver.get(url)
        self.driver.find_element(By.ID, "annotator").send_keys("Anna\n")
        self.wait_for(len(self.said))

    def wait_for(self, judged):
        """Wait until the page shows that so many are judged."""
        from selenium.webdriver.support.ui import WebDriverWait

        script = "return document.readyState === 'complete' && document.getElementById('judged')?.textContent"
        WebDriverWait(self.driver, 20, 0.02).until(lambda driver: driver.execute_script(script) == str(judged))

    def texts(self):
        script = "return [...document.querySelectorAll('.text')].map((element) => element.textContent)"
        return self.driver.execute_script(script)

    def press(self, key):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=0).send_keys(key).perform()

    def judge(self):
        from selenium.webdriver.common.keys import Keys

        prompt, left, _ = self.texts()
        assert prompt not in self.said  # nothing is asked twice
        self.press(Keys.ARROW_LEFT if left.startswith("first") else Keys.ARROW_RIGHT)
        self.said[prompt] = "first"
        self.wait_for(len(self.said))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_twenty_pairs_in_chromium_with_a_kill_between(store, serve, browser):
    server = serve()
    anna = Annotator(browser, server.url)
    for _ in range(9):
        anna.judge()

    # The tenth is sent while the server is killed: it may or may not have come through, and the file decides.
    browser.execute_script("setTimeout(() => document.querySelector('[value=left]').click(), 0)")
    server.kill()
    stored = LabelStore(store.path).verdicts()["anna"]
    assert len(stored) in (9, 10)
    for pair in sorted(stored)[9:]:
        anna.said[f"prompt {pair - 1}"] = stored[pair]

    anna.open(serve().url)  # under the old name, and it goes on where it was left
    while len(anna.said) < 18:
        anna.judge()
    for key, verdict in (("t", "tie"), ("s", "skip")):
        anna.said[anna.texts()[0]] = verdict
        anna.press(key)
        anna.wait_for(len(anna.said))
    anna.press("u")
    anna.wait_for(19)
    assert anna.texts()[0] == "prompt 19"
    anna.press("S")
    anna.wait_for(20)

    with sqlite3.connect(store.path) as db:
        rows = db.execute("SELECT pair, annotator, verdict FROM judgements ORDER BY pair").fetchall()
    db.close()
    assert rows == [(i + 1, "anna", anna.said[f"prompt {i}"]) for i in range(20)]
    problems = [entry for entry in browser.get_log("browser") if "ERR_CONNECTION" not in entry["message"]]
    assert problems == []


def test_held_and_hasty_keys_judge_one_pair(store, serve, browser):
    anna = Annotator(browser, serve().url)
    browser.execute_script("dispatchEvent(new KeyboardEvent('keydown', {key: 't', repeat: true}))")
    browser.execute_script("dispatchEvent(new KeyboardEvent('keydown', {key: 't', ctrlKey: true}))")
    time.sleep(0.5)
    assert store.verdicts() == {}
    browser.execute_script("for (const key of 'tsss') dispatchEvent(new KeyboardEvent('keydown', {key}))")
    anna.wait_for(1)
    time.sleep(0.5)
    assert store.verdicts() == {"anna": {1: "tie"}}


def test_no_script_of_a_model_runs_in_chromium(make_store, browser):
    attack = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">\0\u202e"
    server = Server(make_store((attack, attack + "1", attack + "2")).path)
    try:
        anna = Annotator(browser, server.url)
        time.sleep(0.3)
        assert browser.title.startswith("1 of 1")
        assert anna.texts()[0] == page.visible(attack)
        # Were the escaping to fail, the policy of the page would still stop it.
        browser.execute_script("document.body.innerHTML += arguments[0]", attack)
        time.sleep(0.3)
        assert browser.title.startswith("1 of 1")
    finally:
        server.kill()
