"""The code of every page runs, the generated pages say what the code says, and every task says what it has to."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest

import textgym
from textgym.agents import GRPO
from textgym.envs.registration import TASKS
from textgym.envs.sources import CopySource

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "docs/envs"
PAGES = [path for path in sorted(ROOT.glob("docs/**/*.md")) if GENERATED not in path.parents]


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


readme = load("tests/run_readme.py")


@pytest.fixture(scope="module")
def gallery():
    return load("docs/make_gallery.py")


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """What a page makes is gone afterwards: its files, the ids it registers, the modules it imports from its files."""
    ids, modules = dict(gym.registry), set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield tmp_path
    gym.registry.clear()
    gym.registry.update(ids)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT / "docs")))
def test_the_code_of_a_page_runs(page, empty_folder):
    """The Python blocks of a page are one program, and its shell blocks run in between."""
    names = {"__name__": "__main__"}
    for block in readme.blocks(page.read_text(encoding="utf-8")):
        if block.excuse:
            assert not readme.look_at(block), f"{page.name}:{block.line}"
        elif block.title:
            Path(block.title).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            code = "\n" * block.line + block.code  # so that a traceback shows the line of the page
            exec(compile(code, str(page), "exec"), names)
        elif block.language in readme.SHELLS:
            script = readme.shell_script(block.language, block.code, [])
            run = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True)
            assert run.returncode == 0, f"{page.name}:{block.line}\n{run.stdout}\n{run.stderr}"


def test_a_block_that_is_not_run_is_looked_at():
    def wrong(language, code):
        (block,) = readme.blocks(f"<!-- not run: no GPU -->\n```{language}\n{code}\n```\n")
        assert block.excuse == "no GPU"
        return readme.look_at(block)

    assert not wrong("python", "agent.learn(8)")
    assert "invalid syntax" in wrong("python", "agent learn")
    assert not wrong("console", "$ accelerate launch -m textgym train --agent ppo \\\n>   --gae-lambda 1 --bf16")
    assert wrong("bash", "textgym train --agent grpo --gae-lambda 1") == "textgym train has no --gae-lambda"
    assert "syntax error" in wrong("bash", "if true")
    blocks = readme.blocks('<!-- not run: x -->\n\nText.\n\n```python title="a.py"\n1\n```\n')
    assert [(block.title, block.excuse, block.line) for block in blocks] == [("a.py", "", 5)]


def test_a_page_that_loads_from_the_network_is_an_error():
    hooks = load("docs/hooks.py")
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    links = '<a href="https://arxiv.org">paper</a> <script src="assets/a.js"></script> <link href="../b.css">'
    assert hooks.on_post_page(links, page, {}) == links
    for tag in (
        '<script defer src="https://cdn.org/a.js">',
        "<img src=//cdn.org/a.png>",
        '<link href="http://a.org/b">',
    ):
        with pytest.raises(hooks.PluginError, match=r"index\.md loads something from the network"):
            hooks.on_post_page(links + tag, page, {})


def test_formulas_become_mathml():
    html = load("docs/hooks.py").formula("a_t\n\n\\frac{1}{2}", "math", "formula", {}, None)
    assert html.startswith('<div class="formula"><math') and html.count("<math") == 2
    assert "<msub>" in html and "<mfrac>" in html and 'display="block"' in html


def test_pages_that_the_menu_does_not_name_are_studies(tmp_path):
    for name in ("index", "faq", "rlhf", "agents"):
        (tmp_path / f"{name}.md").touch()
    nav = [{"Start": "index.md"}, {"Agents": [{"All": "agents.md"}]}, {"Questions": "faq.md"}]
    config = SimpleNamespace(mdx_configs={}, nav=list(nav), docs_dir=str(tmp_path))
    assert load("docs/hooks.py").on_config(config).nav == [*nav[:2], {"Studies": ["rlhf.md"]}, nav[2]]
    (tmp_path / "rlhf.md").unlink()
    config = SimpleNamespace(mdx_configs={}, nav=list(nav), docs_dir=str(tmp_path))
    assert load("docs/hooks.py").on_config(config).nav == nav


def test_the_reference_names_everything_that_is_public():
    lines = [line for page in ROOT.glob("docs/reference/*.md") for line in page.read_text("utf-8").splitlines()]
    shown = {line.removeprefix("::: ") for line in lines if line.startswith("::: ")}
    for package in ("envs", "envs.rewards", "agents", "wrappers"):
        module = importlib.import_module(f"textgym.{package}")
        public = {f"{getattr(module, name).__module__}.{name}" for name in module.__all__}
        assert public <= shown, f"give a page of docs/reference lines with ::: {sorted(public - shown)}"
    assert textgym.__all__ == ["__version__", "make_env"]


def test_the_pages_are_up_to_date(gallery):
    expected = gallery.pages() | gallery.filled_pages()
    assert set(ROOT.glob("docs/envs/*.md")) <= set(expected), "run: python docs/make_gallery.py"
    for path, text in expected.items():
        assert path.read_text(encoding="utf-8") == text, "run: python docs/make_gallery.py"


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_specified_under_all_headings(name, gallery):
    summary, sections = gallery.specification(gallery.specified_by(TASKS[name]))
    assert summary and set(gallery.HEADINGS) <= set(sections)


def test_a_missing_an_empty_and_a_misplaced_heading_are_named(gallery):
    def specified(docstring):
        return gallery.specification(type("Source", (), {"__doc__": docstring}))

    sections = [f"## {heading}\nSomething.\n" for heading in gallery.HEADINGS]
    assert specified("A task.\n\n" + "\n".join(sections)) == ("A task.", dict.fromkeys(gallery.HEADINGS, "Something."))
    extra = [*sections[:3], "## Model\nA table.\n", *sections[3:]]
    assert specified("A task.\n\n" + "\n".join(extra))[1]["Model"] == "A table."
    wrong = (sections[1:], [sections[1], sections[0], *sections[2:]], ["## Description\n", *sections[1:]], [])
    for docstring in ("A task.\n\n" + "\n".join(lines) for lines in wrong):
        with pytest.raises(ValueError, match="the docstring of Source needs the headings"):
            specified(docstring)


def test_names_that_differ_in_case_only_have_different_pages(gallery, monkeypatch):
    task = next(iter(TASKS.values()))
    monkeypatch.setattr(gallery, "TASKS", {"TextMath": task, "TextSort": task, "TextMATH": task})
    pages = [gallery.page_of(name).name for name in gallery.TASKS]
    assert pages == ["textmath.md", "textsort.md", "textmath-1.md"]


def test_arguments_are_the_fields_with_their_docstrings(gallery):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Loud(CopySource):
        volume: int = 11
        """How loud, ``1 | 11``."""

    task = dataclasses.replace(TASKS["TextCopy"], source="sources.copying:CopySource", settings={"max_length": 9})
    rows = gallery.arguments(task).splitlines()
    assert rows[2:4] == [
        "| `min_length` | `3` |  |",
        "| `max_length` | `9` | The length is uniform from `min_length` to `max_length`, both included. |",
    ]
    assert gallery.field_docstrings(Loud)["volume"] == "How loud, `1 \\| 11`."


def test_tables_hold_what_a_class_says_itself(gallery):
    old = "Before.\n\n<!-- settings of textgym.agents.dpo:DPOConfig -->\n| old |\n<!-- end -->\n\nAfter."
    new = gallery._TABLE.sub(gallery._filled, old)
    assert new.startswith("Before.\n\n<!-- settings of") and new.endswith("|\n\n<!-- end -->\n\nAfter.")
    assert "| `beta` | `0.1` | How dearly leaving the initial policy is paid for. |" in new
    assert "`seed`" not in new and "old" not in new
    assert gallery._TABLE.sub(gallery._filled, new) == new
    assert "| `dr_grpo` | `advantage='center'`, `norm='const'` |" in gallery.presets(GRPO)


def test_long_chats_are_cut_and_fences_do_not_meet(gallery):
    long = gallery.chat([{"role": "user", "content": "\n".join(map(str, range(100)))}])
    assert long.count("\n") == gallery.MAX_LINES + 2 and "[... 76 lines ...]" in long and "99" in long
    code = gallery.chat([{"role": "assistant", "content": "```python\n1\n```"}])
    assert code.startswith("````text\n") and code.endswith("\n````")
