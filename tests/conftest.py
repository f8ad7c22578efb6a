"""What holds for every test: no network, one thread, no window, and no extra that is not installed.

The first three are environment variables because they must be set before torch, transformers or matplotlib is first
imported, and a test that needs none of these must not pay for importing them.
"""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # torch's, too: the tensors of a test are too small to share out
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Skip a test whose environment needs an extra that is not installed; the reason says which."""
    try:
        return (yield)
    except ImportError as error:
        if "pip install 'textgym[" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A headless Chromium, driven by selenium, with a profile and a log of its own.

    Without either the test is skipped; in CI, where Chromium is installed, it fails without the rest.
    """
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        webdriver = None
    found = {"chromium": chromium, "chromedriver": driver, "selenium": webdriver}
    if missing := [name for name, there in found.items() if not there]:
        give_up = pytest.fail if os.environ.get("CI") and chromium else pytest.skip
        give_up(f"a browser needs {' and '.join(missing)}")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        f"user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as chrome:
        yield chrome
