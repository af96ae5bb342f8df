"""The map of layers in a browser: by mouse, by keyboard, and what stands beside it."""

from __future__ import annotations

from dataclasses import replace

from playwright.sync_api import Browser, Locator, expect

from engine.comparison.layers.records import Finding, LayerErrors, LossSplit
from engine.core.checksums import write_record
from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.results import layers_file
from engine.runs.run import Run
from engine.tasks.inspect_operator import FeatureMap, FeatureMaps, FloatTrial, MeasuredFile
from tests.helpers.browser import IN_A_BROWSER, LINES, PATIENCE, wait_until_settled
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_quantized import healthy

pytestmark = IN_A_BROWSER
SIDE = 2
CAUSE = "Its outputs are too high on average"


def store(run: Run) -> LayerErrors:
    """Store errors of four layers, with everything that is measured of them."""
    pictures = pictures_in(SAMPLE_IMAGES)
    measured = healthy().errors()
    layers = tuple(
        replace(layer, module=f"features.{number // 2}.{number % 2}")
        for number, layer in enumerate(measured.layers)
    )
    worst = max(layers, key=lambda layer: 0.0 if layer.own is None else layer.own.error_ratio or 0)
    cause = Finding("mean_shift", CAUSE, "Correct the bias.", 6.0)
    layers = tuple(
        replace(layer, findings=(cause,)) if layer is worst else layer for layer in layers
    )
    errors = replace(
        measured,
        run=run.folder.name,
        variant="int8",
        pictures=len(pictures),
        layers=layers,
        split=LossSplit(3.0, 1.0, 8),
    )
    file = layers_file(run, "int8", pictures)
    write_record(file, errors)
    before, after = MeasuredFile(400, 0.2, 13, 1.0), MeasuredFile(500, 0.1, 13, 2.0)
    shown = FeatureMap(1, 0.5, SIDE, SIDE, (0.0,) * SIDE**2, (0.5,) * SIDE**2)
    first = layers_file(run, "int8", pictures[:1])
    for layer in layers:
        trial = FloatTrial("int8", layer.index, 1, len(pictures), before, after)
        write_record(file.with_name(f"float-{layer.index}-{file.name}"), trial)
        maps = FeatureMaps(3, (shown,))
        write_record(first.with_name(f"maps-{layer.index}-{first.name}"), maps)
    return errors


def demand_in_one_screen(*boxes: Locator) -> None:
    """Map and what it opens are seen without scrolling."""
    for box in boxes:
        expect(box).to_be_in_viewport(ratio=1)


def test_keys_and_clicks_open_blocks_beside_the_map(
    browser: Browser, two_runs_server: Dashboard, own_run: Run
) -> None:
    errors = store(own_run)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{two_runs_server.address}/layers?run={own_run.folder.name}&variant=int8")
    tiles = page.locator(".map .tile")
    expect(tiles).to_have_count(4)
    wait_until_settled(page)
    detail = page.locator(".st-key-operator_detail")
    darkest = tiles.filter(has=page.locator("b", has_text="1"))
    darkest.click()
    expect(detail).to_contain_text(CAUSE)
    demand_in_one_screen(darkest, detail.get_by_text(CAUSE), detail.get_by_text("Correct the bias"))
    first, second, *_ = errors.layers
    tiles.first.click()
    expect(detail).to_contain_text(f"features.0.0 ({first.title})")
    expect(detail).to_contain_text("takes 50.0\xa0% of the error away")
    expect(detail).to_contain_text("1.0\xa0ms → 2.0\xa0ms a call")
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(detail).to_contain_text(f"features.0.1 ({second.title})")
    expect(tiles.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(tiles.nth(1)).to_be_focused()
    # The histogram of the block before stays in the page until the new one is drawn.
    histogram = detail.locator(".js-plotly-plot")
    expect(histogram).to_have_count(1)
    demand_in_one_screen(tiles.first, detail.locator("h2").first, histogram)
    expect(page.get_by_text("Weights cause most of the loss: 90\xa0%")).to_be_visible()
    expect(page.get_by_alt_text("Channel 1 of int8 on")).to_have_count(1)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator("h1").evaluate(LINES) <= 3
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_text("Time", exact=True).click()
    expect(page.get_by_text("The time of its operators is not measured yet")).to_be_visible()
