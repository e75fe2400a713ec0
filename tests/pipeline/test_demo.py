"""`omokage demo`: its server and its page, in a real browser."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from support.browser import run_axe, set_window, wait_until
from support.clone import ROOT
from support.training import make_faces, make_spec, train_tiny

import omokage
from omokage.base.files import hash_file
from omokage.cli.main import main
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import save_model
from omokage.stamps.stamp import read_stamp

# In one call, because Gradio may replace elements between two. The hidden tabs are those that it measures.
VISIBLE_SCRIPT = """
return [...document.querySelectorAll(arguments[0])].filter((element) =>
  element.checkVisibility({visibilityProperty: true}) && !element.closest(".visually-hidden"));
"""
TABS = ("Generate", "Denoising", "Edit", "Interpolate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, its snapshots, an image of a face, and a file that is no image."""
    folder = tmp_path_factory.mktemp("demo")
    result = train_tiny(folder / "work", steps=6, lr=4e-3)
    save_model(folder / "model.safetensors", result.network, make_spec())
    posthoc_ema.save_snapshots(folder / "snapshots.safetensors", result.snapshots)
    Image.fromarray(np.asarray(make_faces(1)[0].permute(1, 2, 0))).save(folder / "face.png")
    (folder / "<b>text.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> omokage.Model:
    return omokage.load(folder / "model.safetensors", threads=torch.get_num_threads())


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """The process of `omokage demo` and the address of its page. At the end, Ctrl-C must stop it quietly."""
    command = [sys.executable, "-m", "omokage.cli.main", "demo", "--model", "model.safetensors", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        try:
            line = process.stdout.readline()
            assert line.endswith(" (stop: Ctrl-C)\n"), process.stderr.read()
            yield psutil.Process(process.pid), line.split()[0]
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.fixture
def page(session: Chrome, server: tuple[psutil.Process, str]) -> Iterator[Chrome]:
    """The page, just loaded. After the test, the browser must have asked no other server, and printed no error."""
    set_window(session, 1280, "light")
    session.get(server[1])
    wait_until(session, lambda: find_visible(session, "button.primary"))
    yield session
    messages = [json.loads(entry["message"])["message"] for entry in session.get_log("performance")]
    urls = [item["params"]["request"]["url"] for item in messages if item["method"] == "Network.requestWillBeSent"]
    assert len(urls) > 10 and all(url.startswith((server[1], "data:", "blob:")) for url in urls)
    assert [entry for entry in session.get_log("browser") if entry["level"] == "SEVERE"] == []


def find_visible(page: Chrome, selector: str) -> list[WebElement]:
    return list(page.execute_script(VISIBLE_SCRIPT, selector))


def open_tab(page: Chrome, name: str) -> None:
    (tab,) = [element for element in find_visible(page, "button[role=tab]") if element.text == name]
    tab.send_keys(Keys.ENTER)
    wait_until(page, lambda: tab.get_attribute("aria-selected") == "true" and find_visible(page, "button.primary"))


def fill(page: Chrome, **values: object) -> None:
    """Type values into the visible controls with these labels, where _ stands for a space."""
    for name, value in values.items():
        label = name.replace("_", " ")
        (control,) = [
            element
            for element in find_visible(page, "input:not([type=range])")
            if (element.accessible_name or "").startswith((label, f"number input for {label}"))
        ]
        control.send_keys(Keys.CONTROL, "a")
        control.send_keys(str(value), Keys.ENTER)


def compute(page: Chrome) -> list[Image.Image]:
    """Press the button of the tab by keyboard, and return the images that appear."""
    (button,) = find_visible(page, "button.primary")
    button.send_keys(Keys.ENTER)
    wait_until(page, lambda: find_visible(page, "figure img"))
    return read_images(page)


def read_images(page: Chrome) -> list[Image.Image]:
    sources = [element.get_attribute("src") or "" for element in find_visible(page, "figure img")]
    return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB") for source in sources]


def show_error(page: Chrome) -> str:
    """Press the button of the tab, and return the text of the error that appears."""
    (button,) = find_visible(page, "button.primary")
    button.send_keys(Keys.ENTER)
    wait_until(page, lambda: find_visible(page, "[data-testid=toast-text]"))
    text = find_visible(page, "[data-testid=toast-text]")[0].text
    find_visible(page, "[data-testid=toast-close]")[0].click()
    wait_until(page, lambda: not find_visible(page, "[data-testid=toast-text]"))
    return text


def test_the_download_has_the_pixels_of_the_library_and_a_stamp(
    page: Chrome, model: omokage.Model, folder: Path, tmp_path: Path
) -> None:
    fill(page, Seed=7, Number_of_images=5, Steps=4, Sampler="ddim")
    (shown,) = compute(page)
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    (link,) = find_visible(page, "a.save")
    link.send_keys(Keys.ENTER)
    path = tmp_path / "omokage-generate-7.png"
    wait_until(page, path.exists)
    expected = omokage.to_grid(model.sample(5, seed=7, sampler="ddim", steps=4, guidance=2))
    for image in (shown, Image.open(path).convert("RGB")):
        assert image.size == expected.size and image.tobytes() == expected.tobytes()
    stamp = read_stamp(path)
    settings = {"tab": "generate", "seed": 7, "count": 5, "sampler": "ddim", "steps": 4, "guidance": 2}
    assert stamp["demo"] == settings and stamp["model"] == hash_file(folder / "model.safetensors")
    (element,) = find_visible(page, "figure img")
    assert element.get_attribute("alt") == "5 samples: seed 7, sampler ddim, steps 4, guidance 2"


def test_a_slider_shows_every_step_of_a_denoising(page: Chrome, model: omokage.Model) -> None:
    open_tab(page, "Denoising")
    fill(page, Seed=3, Steps=4)
    steps = model.denoise_steps(1, seed=3, steps=4)
    last = compute(page)
    (slider,) = [item for item in find_visible(page, "input[type=range]") if item.get_attribute("max") == "4"]
    slider.send_keys(Keys.HOME)
    wait_until(page, lambda: find_visible(page, "figcaption")[0].text == "noisy image x_t, step 1 of 4, timestep 49")
    for step, images in ((steps[-1], last), (steps[0], read_images(page))):
        for image, expected in zip(images, (step.x_t, step.x0), strict=True):
            assert image.resize((16, 16), Image.Resampling.NEAREST).tobytes() == omokage.to_pil(expected)[0].tobytes()


def test_an_upload_is_edited_or_refused_in_one_line(page: Chrome, model: omokage.Model, folder: Path) -> None:
    open_tab(page, "Edit")
    assert show_error(page) == "there is no image: choose a file first"
    page.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(folder / "<b>text.png"))
    wait_until(page, lambda: find_visible(page, ".file-preview"))
    formats = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or MPO"
    reason = f"unknown format: expected {formats}: choose an image of a face"
    assert show_error(page) == f"the file cannot be used: {reason}"
    find_visible(page, "button[aria-label='Clear']")[0].send_keys(Keys.ENTER)
    wait_until(page, lambda: not find_visible(page, ".file-preview"))
    page.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(folder / "face.png"))
    wait_until(page, lambda: find_visible(page, ".file-preview"))
    fill(page, Strength=0.6, Number_of_edits=2, Steps=10)
    (sheet,) = compute(page)
    face = make_faces(1)
    edited = model.edit(face.expand(2, -1, -1, -1), strength=0.6, steps=10)
    assert sheet.tobytes() == omokage.to_grid(torch.cat([face, edited])).tobytes()


def test_two_seeds_are_interpolated(page: Chrome, model: omokage.Model) -> None:
    open_tab(page, "Interpolate")
    fill(page, First_seed=1, Second_seed=2, Number_of_images=3, Steps=4)
    (strip,) = compute(page)
    assert strip.tobytes() == omokage.to_grid(model.interpolate(1, 2, 3, steps=4), columns=3).tobytes()


def test_the_page_is_accessible_and_fits_a_phone(page: Chrome) -> None:
    for width, scheme in ((390, "light"), (1280, "dark")):
        set_window(page, width, scheme)
        wait_until(page, lambda: [tab.text for tab in find_visible(page, "button[role=tab]")] == [*TABS])
        for name in TABS:
            open_tab(page, name)
            assert run_axe(page) == [], (name, width)
            assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth"), (name, width)


def request(address: str, headers: dict[str, str], data: bytes | None = None) -> int:
    """Return the status of the server's response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_server_is_only_for_this_machine(server: tuple[psutil.Process, str]) -> None:
    process, address = server
    sockets = [item for each in (process, *process.children(recursive=True)) for item in each.net_connections()]
    listening = [item.laddr for item in sockets if item.status == psutil.CONN_LISTEN]
    assert [f"http://{place.ip}:{place.port}/" for place in listening] == [address]
    assert {item.laddr.ip for item in sockets} == {"127.0.0.1"}
    assert request(address, {}) == 200
    # A page elsewhere whose name resolves to this machine.
    assert request(address, {"Host": "elsewhere.example"}) == 400


def test_a_large_upload_is_refused(server: tuple[psutil.Process, str]) -> None:
    def upload(size: int) -> int:
        head = b'--part\r\nContent-Disposition: form-data; name="files"; filename="face.png"\r\n\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=part"}
        return request(f"{server[1]}gradio_api/upload", headers, head + bytes(size) + b"\r\n--part--\r\n")

    assert upload(1000) == 200
    assert upload(20 * 2**20 + 1) == 413


def test_what_prevents_the_page_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: str) -> str:
        assert main(["demo", *arguments]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        return line.removeprefix("omokage: ")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, model = str(taken.getsockname()[1]), str(folder / "model.safetensors")
        line = f"port {port} of 127.0.0.1 is in use: choose another with --port"
        assert fail("--model", model, "--port", port) == line
    assert fail("--model", model, "--host", "192.0.2.1").startswith("cannot listen on port 7860 of 192.0.2.1 (")
    assert fail("--model", str(tmp_path / "none"), "--port", "0").startswith(f"{tmp_path}/none: there is no such file")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    subprocess.run(["git", "init", "-q"], check=True)
    assert fail().startswith("there is no model yet (results/model.safetensors): run `dvc repro train`")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fail() == "gradio is not installed, expected the extra `demo`: run `make install` or `pip install gradio`"


def test_wrong_values_are_refused_without_the_page(model: omokage.Model) -> None:
    from omokage.base.errors import UserError
    from omokage.demo.actions import Actions

    actions = Actions(model, "")
    calls: list[tuple[Any, str]] = [
        (lambda: actions.generate(0, 65, "ddpm", 4, 1), "number of images = 65: expected 1 to 64"),
        (lambda: actions.generate(None, 1, "ddpm", 4, 1), "seed is empty: expected a whole number"),
        (lambda: actions.interpolate(0, 1, 1, 4, 1), "number of images = 1: expected 2 to 16"),
        (lambda: actions.generate(0, 1, "ddpm", 51, 1), "51 steps: expected at most 50"),
    ]
    for call, message in calls:
        with pytest.raises(UserError, match=message):
            call()
