"""The stage in a browser: the handle, the film strip, a dropped photo, the race."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import msgspec
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, WebSocket, expect

from engine.runs.manifest import FILE_NAME
from engine.runs.run import LATENCY, Run
from engine.tflite.artifact import artifact_of
from tests.helpers.browser import IN_A_BROWSER, PATIENCE, wait_until_settled
from tests.helpers.factories import latency
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_tflite import reshape_file

pytestmark = IN_A_BROWSER

HOSTILE = "<img src=x onerror=document.title='taken'>.png"
DROP = """(stage, [name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
  stage.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def open_stage(page: Page, server: Dashboard, run: Run) -> list[object]:
    """Open Pictures, and give the messages that the browser sends from now on."""
    messages: list[object] = []
    page.set_default_timeout(PATIENCE)

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", lambda message: messages.append(message))

    page.on("websocket", listen)
    page.goto(f"{server.address}/predictions?run={run.folder.name}&variant=int8")
    expect(page.locator(".stage .shown")).to_be_visible()
    wait_until_settled(page)
    # What the page asked for as it was drawn may draw it once more.
    while messages:
        messages.clear()
        wait_until_settled(page)
    return messages


def demand_share(page: Page, percent: int) -> None:
    """The handle, its words, and the clip of both layers are at a share of the width."""
    handle = page.get_by_role("slider")
    expect(handle).to_have_attribute("aria-valuenow", str(percent))
    said = f"{percent}\xa0% the original, {100 - percent}\xa0% int8"
    expect(handle).to_have_attribute("aria-valuetext", said)
    for layer, edge in ((".left", 1), (".right", 3)):
        clip = page.locator(f".stage {layer}").evaluate("it => getComputedStyle(it).clipPath")
        cut = re.findall(r"calc\([^)]*\)|[\d.]+(?:px|%)?", clip)[edge]
        assert f"{percent}" in cut or f"{100 - percent}" in cut, clip


def middle(box: Locator) -> tuple[float, float, float]:
    """Left edge, width and half the height of a box."""
    frame = box.bounding_box()
    assert frame is not None
    return frame["x"], frame["width"], frame["y"] + frame["height"] / 2


def coarsen(run: Run) -> None:
    """Round so coarsely in int8 that several answers change."""
    exact, card = run.artifacts
    file = run.folder / card.file
    reshape_file(file, card.inputs[0].shape, dtype="int8", scale=0.5)
    coarse = artifact_of(file, variant=card.variant, layout=card.layout)
    manifest = replace(run.manifest, artifacts=(exact, coarse))
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())


def a_photo() -> str:
    pixels = np.random.default_rng(7).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_the_handle_and_the_strip_need_no_server_and_a_photo_lands_on_the_stage(
    browser: Browser, two_runs_server: Dashboard, own_run: Run
) -> None:
    coarsen(own_run)
    page = browser.new_page(viewport={"width": 1440, "height": 1100})
    messages = open_stage(page, two_runs_server, own_run)
    demand_share(page, 50)
    left, width, height = middle(page.locator(".stage .view"))
    page.mouse.move(left + width / 2, height)
    page.mouse.down()
    page.mouse.move(left + width / 4, height, steps=4)
    demand_share(page, 25)
    page.mouse.move(left - 50, height)
    demand_share(page, 0)
    page.mouse.up()
    page.mouse.move(left + width / 2, height)
    for key, share in (("ArrowRight", 2), ("End", 100), ("PageDown", 90), ("Shift+ArrowLeft", 80)):
        page.keyboard.press(key)
        demand_share(page, share)
    demand_strip(page)
    assert not messages, "the server was asked"
    expect(page.locator(".race")).to_contain_text(f"latency --run {own_run.folder.name}")
    expect(page.locator(".race .go")).to_be_hidden()
    page.locator(".stage").evaluate(DROP, [HOSTILE, a_photo()])
    # While the models answer, the stage from before may stand below the new one.
    expect(page.locator(".stage .caption").first).to_have_text(HOSTILE)
    expect(page.get_by_text("1 of your pictures")).to_be_visible()
    wait_until_settled(page)
    expect(page.locator(".stage .handle")).to_be_in_viewport()
    expect(page).to_have_title("Pictures · Quantization Lab")


def demand_strip(page: Page) -> None:
    """Pictures are turned to by click and by keys, and a changed answer is stamped."""
    films = page.locator(".strip button")
    changed = page.locator(".strip .changed")
    assert changed.count() > 2, "the tiny run has lost its changed answers"
    changed.nth(1).click()
    expect(changed.nth(1)).to_have_attribute("aria-current", "true")
    change = changed.nth(1).inner_text()
    expect(page.locator(".stage .stamp")).to_have_text(f"CHANGED: {change}")
    page.locator(".stage").focus()
    page.keyboard.press("ArrowRight")
    expect(changed.nth(2)).to_have_attribute("aria-current", "true")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Previous").click()
    expect(changed.nth(0)).to_have_attribute("aria-current", "true")
    expect(page.locator(".strip [aria-current]")).to_have_count(1)
    expect(page.locator(".position")).to_have_text(re.compile(rf"^\d+ / {films.count()}$"))
    demand_share(page, 80)


def test_a_finger_moves_the_handle_and_both_models_race(
    browser: Browser, two_runs_server: Dashboard, own_run: Run
) -> None:
    (own_run.folder / LATENCY).mkdir(exist_ok=True)
    timed = latency({"original": 9.0, "float32": 5000.0, "int8": 2000.0})
    (own_run.folder / LATENCY / "threads-1.json").write_bytes(msgspec.json.encode(timed))
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    messages = open_stage(page, two_runs_server, own_run)
    result = "int8 took 2.0 s, float32 5.0 s: int8 is 2.5 × faster."
    expect(page.locator(".result")).to_be_empty()
    page.locator(".stage .view").scroll_into_view_if_needed()
    left, width, height = middle(page.locator(".stage .view"))
    touch = context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.6), ("touchMove", 0.75)):
        point = {"x": left + share * width, "y": height}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    demand_share(page, 75)
    page.clock.install(time=0)
    page.clock.pause_at(3600)
    page.get_by_role("button", name="Race").click()
    page.clock.run_for(2500)
    expect(page.locator(".lane > span").nth(1)).to_have_text("1 · 2.0 s")
    expect(page.locator(".lane > span").nth(0)).to_have_text(re.compile(r"^0 · 2\.[45] s$"))
    expect(page.locator(".result")).to_be_empty()
    page.clock.run_for(3000)
    expect(page.locator(".result")).to_have_text(result)
    page.emulate_media(reduced_motion="reduce")
    expect(page.get_by_role("button", name="Race")).to_be_hidden()
    expect(page.locator(".lane")).to_have_count(0)
    expect(page.locator(".result")).to_have_text(result)
    assert not messages, "the server was asked"
