# SPDX-License-Identifier: Apache-2.0
"""Every manual page has the version and the date that NEWS.md has."""

import os
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).parents[2]
PAGES = ("proctor.1", "proctor.7", "proctor-operations.7", "proctord.8", "proctor-keeper.8")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_version_and_date_of_the_news(page):
    news = (TOP / "NEWS.md").read_text(encoding="utf-8")
    version, date = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)", news, re.M).groups()
    built = pathlib.Path(os.environ.get("PROCTOR_BUILD", os.environ["PROCTOR_BIN"] + "/..")) / "man"
    title = re.search(r"^\.TH .*$", (built / page).read_text(encoding="utf-8"), re.M).group()
    assert title.split()[3] == date and f'"proctor {version}"' in title, title
