"""The page in a real browser: from disk, with no network, by keyboard, light and dark, on a phone and on paper."""

import json
import re
import shutil
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from pages import WRONG

from comparisons import check_function
from comparisons.cli import main

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
WITHOUT = "no browser: install chromium and chromium-driver to run these tests"
pytestmark = [pytest.mark.apart, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=WITHOUT)]


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # No sandbox, which root cannot have; and nothing that the browser itself would fetch.
    quiet = ("--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000", *quiet):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    assert main(["compare", "note", "xor", "--html", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def page(browser, reports):
    browser.get((reports / "index.html").as_uri())
    return browser


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def colour(browser, selector, name):
    """Red, green and blue, each from 0 to 1, as they are drawn."""
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    return [int(part) / 255 for part in re.findall(r"\d+", browser.execute_script(script, selector, name))[:3]]


def contrast(one, other):
    """The ratio of luminances that WCAG 2 asks to be 4.5 or more for text."""

    def luminance(rgb):
        linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
        return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_it_opens_from_disk_with_the_answer_in_sight_no_error_and_no_request(page, reports):
    answer = find(page, ".answer")
    assert answer.is_displayed()
    assert answer.location["y"] < 300
    assert "numbers agree with autograd" in answer.text
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert [url for url in asked if url.startswith("file:")] == [(reports / "index.html").as_uri()]


def test_an_edge_chosen_by_keyboard_shows_its_values(page, reports):
    # From the filter or link before the drawing, a Tab leads to what is chosen, and the arrows from there.
    focused = find(page, ".network [tabindex='0']")
    page.execute_script("arguments[0].focus()", focused)
    keys = webdriver.ActionChains(page)
    keys.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    chosen = find(page, ".network [aria-pressed='true']")
    assert chosen == page.switch_to.active_element
    label = chosen.get_attribute("aria-label")
    assert label.startswith("w_02^(1), from the bias to node 0 of layer 1")
    shown = find(page, ".chosen").text
    assert label in shown
    elements = pd.read_csv(reports / "elements.csv")
    note = elements[(elements["case"] == "note") & (elements["step"] == 1)]
    for name, quantity in (("w_02^(1)", "weight"), ("dC/dw_02^(1)", "gradient")):
        (row,) = note[note["name"] == name].to_dict("records")
        assert row["quantity"] == quantity
        assert repr(row["hand"]) in shown
        assert repr(row["torch"]) in shown
        assert f"{row['tolerance']:.4g}" in shown


def test_tab_reaches_the_network_once_and_leaves_it_again(page):
    keys = webdriver.ActionChains(page)
    inside = []
    for _ in range(20):
        keys.send_keys(Keys.TAB).perform()
        inside.append(page.execute_script("return !!document.activeElement.closest('svg')"))
    assert inside.count(True) >= 1
    assert (True, True) not in set(pairwise(inside))


def test_a_node_shows_the_activation_and_delta_of_the_sample_that_is_chosen(page, reports):
    network = page.find_elements(By.CSS_SELECTOR, ".network")[1]
    node = network.find_element(By.CSS_SELECTOR, "[aria-label='node 0 of layer 1']")
    node.click()
    network.find_element(By.CSS_SELECTOR, "select").send_keys("2")
    shown = network.find_element(By.CSS_SELECTOR, ".chosen").text
    elements = pd.read_csv(reports / "elements.csv")
    part = elements[(elements["case"] == "xor") & (elements["step"] == 1) & (elements["sample"] == 2)]
    for name in ("a_0^(1)", "delta_0^(1)"):
        (hand,) = part[part["name"] == name]["hand"]
        assert repr(hand) in shown
    other = elements[(elements["case"] == "xor") & (elements["step"] == 1) & (elements["sample"] == 1)]
    assert repr(other[other["name"] == "a_0^(1)"]["hand"].item()) not in shown


def test_a_heading_sorts_by_number_and_a_second_time_the_other_way(page):
    headings = page.find_elements(By.CSS_SELECTOR, "#case-1-rows th")
    (at,) = (i for i, heading in enumerate(headings, start=1) if heading.text.startswith("max abs error"))
    heading = headings[at - 1].find_element(By.TAG_NAME, "button")
    cells = f"[...document.querySelectorAll('#case-1-rows tbody td:nth-child({at})')]"
    script = f"return {cells}.map(c => Number(c.dataset.v))"
    before = page.execute_script(script)
    heading.send_keys(Keys.ENTER)
    assert page.execute_script(script) == sorted(before)
    assert headings[at - 1].get_attribute("aria-sort") == "ascending"
    heading.send_keys(Keys.ENTER)
    assert page.execute_script(script) == sorted(before, reverse=True)
    assert before != sorted(before)


def test_the_field_above_filters_the_rows(page):
    find(page, "[data-filters='case-1-rows']").send_keys("delta")
    rows = page.find_elements(By.CSS_SELECTOR, "#case-1-rows tbody tr")
    visible = [row.text for row in rows if row.is_displayed()]
    assert len(visible) == 2
    assert all("delta" in text for text in visible)
    assert find(page, ".count").text == f"2 of {len(rows)} rows"


def test_a_mismatch_shows_its_diagnosis(browser, tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    assert main(["check", f"{tmp_path / 'mine.py'}:backprop", "--html", "--out", str(tmp_path)]) == 1
    browser.get((tmp_path / "index.html").as_uri())
    message = find(browser, ".message")
    assert message.is_displayed()
    assert "is the first wrong quantity" in message.text
    assert "[no_output_slope]" in message.text
    # What is wrong first is chosen, and looks it.
    chosen = find(browser, ".network [aria-pressed='true']")
    assert re.match(r"w_\d\d\^\(3\), from", chosen.get_attribute("aria-label"))
    assert "wrong" in chosen.get_attribute("class")
    assert "wrong" in find(browser, ".chosen table").text
    assert browser.get_log("browser") == []


def test_a_function_has_a_picture_of_each_array_and_is_read_without_an_error(browser, tmp_path):
    def off(x):
        y = np.tanh(x)
        y[1, 2] += 1e-9
        return y

    check_function(off, torch.tanh, np.arange(12.0).reshape(3, 4) / 10).to_html(tmp_path)
    browser.get((tmp_path / "index.html").as_uri())
    picture = find(browser, "figure img")
    assert picture.size["width"] == 4 / 3 * picture.size["height"]
    assert "1 of 12 numbers wrong" in find(browser, "figcaption").text
    assert find(browser, ".message").text.startswith("result is wrong in 1 of 12 numbers")
    orange = colour(browser, ".over", "backgroundColor")
    assert contrast(orange, colour(browser, "body", "backgroundColor")) > 3
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    paper = colour(page, "body", "backgroundColor")
    assert (sum(paper) > 1.5) == (scheme == "light")
    for selector in ("body", ".hint", ".verdict.ok", "a", "th button"):
        assert contrast(colour(page, selector, "color"), paper) >= 4.5
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_on_a_phone_only_tables_drawings_and_formulas_scroll_sideways(page):
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    assert find(page, ".network .scroll").size["width"] <= 360
    node = find(page, ".network circle").size
    assert min(node.values()) >= 24  # wide enough for a finger
    plots = page.find_elements(By.CSS_SELECTOR, ".plots svg")[:2]
    assert plots[0].location["x"] == plots[1].location["x"]
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_on_paper_everything_is_unfolded_and_nothing_is_left_to_press(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert find(page, "#case-1-elements").is_displayed()
    assert not find(page, ".tools").is_displayed()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
