"""The page of `gradcam serve` in a real browser: Chromium without a window, steered by Playwright."""

import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

import slim_models
from gradcam.cli import page, serving
from gradcam.cli.studio import Studio
from gradcam.pictures import read_provenance, samples

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'gradcam-tf1[web]'")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser is steered by playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore:::gradio", "ignore:::starlette", "ignore:::fastapi", "ignore:::uvicorn"),
    # Loops and sockets that gradio leaves open when it is imported and when it ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
NETWORKS = ("vgg16_tiny", "resnet_v1_50_tiny")
MOST = 2**20  # bytes of an upload
SECONDS = 60_000  # milliseconds that anything may take: the machine may be busy


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def reached():
    """The addresses beside this machine's own that the process connects to while it serves."""
    found, connect = [], socket.socket.connect

    def watched(self, address):
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            found.append(address)
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watched)
        yield found


@pytest.fixture(scope="module")
def address(reached, tmp_path_factory):
    """Of the page, served as `gradcam serve` does."""
    networks = {name: lambda name=name: slim_models.open_network(name) for name in NETWORKS}
    with pytest.MonkeyPatch.context() as patch, Studio(networks) as studio:
        for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "GRADIO_TEMP_DIR"):
            patch.setenv(name, os.environ.get(name, ""))  # what it was comes back
        gradio = serving.quiet_gradio(str(tmp_path_factory.mktemp("uploads")))
        blocks = page.page(studio, gradio)
        gc.collect()  # what it leaves open is told of here, and not in others' tests
        yield page.launch(blocks, gradio, "127.0.0.1", free_port(), MOST)
        blocks.close(verbose=False)
        gc.collect()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        # As root, which containers are, Chromium has no sandbox of its own.
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, address):
    """The page, as someone opens it; what it asks of other machines is in `tab.outside`."""
    tab = browser.new_page(viewport={"width": 1400, "height": 1100})
    tab.set_default_timeout(SECONDS)
    tab.outside, tab.errors = [], []
    tab.on(
        "request",
        lambda request: request.url.startswith((address, "data:", "blob:")) or tab.outside.append(request.url),
    )
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.goto(address)
    tab.locator("#samples button").first.wait_for()
    yield tab
    assert (tab.outside, tab.errors) == ([], [])
    tab.close()


def captions(tab):
    return [text.strip().split("\n")[0] for text in tab.locator("#pictures .caption-label").all_inner_texts()]


def wait_for_caption(tab, text):
    tab.locator("#pictures .caption-label", has_text=text).first.wait_for()


def picture(tab, number):
    """The address of a picture on the page, in which there is a hash of its pixels."""
    return tab.locator("#pictures .thumbnail-item img, #pictures button img").nth(number).get_attribute("src")


def choose(tab, component, text):
    box = tab.locator(f"#{component} input").first
    box.click()
    box.fill(text)
    tab.locator("ul[role=listbox] li", has_text=re.compile(rf"^\W*{re.escape(text)}\s*$")).first.click()


def drop(tab, path):
    """As a user drops a file; a file chooser gives the page the same."""
    clear = tab.locator("#upload button[aria-label=Clear]")
    if clear.count():
        clear.click()
    tab.locator("#upload input[type=file]").set_input_files(path)


@pytest.fixture
def cat(tmp_path):
    Image.fromarray(samples.cat_and_coffee()).resize((340, 200)).save(tmp_path / "my cat.jpg")
    return tmp_path / "my cat.jpg"


def test_a_picture_is_dropped_and_another_class_has_another_map(tab, cat, tmp_path):
    drop(tab, cat)
    wait_for_caption(tab, ": original")
    assert len(captions(tab)) == 4
    choose(tab, "classes", "tabby, tabby cat (30)")
    wait_for_caption(tab, "tabby")
    parts = ["original", "guided backprop", "Grad-CAM", "guided Grad-CAM"]
    assert [re.sub(r" \S+%$", "", text) for text in captions(tab)] == [f"tabby: {part}" for part in parts]
    of_tabby = picture(tab, 2)
    choose(tab, "classes", "espresso (193)")
    wait_for_caption(tab, "espresso: guided Grad-CAM")  # beside the other: several classes at once
    assert len(captions(tab)) == 8
    assert picture(tab, 2) == of_tabby != picture(tab, 6)
    assert tab.locator("#table").inner_text().count("%") == 5
    with tab.expect_download() as started:
        tab.locator("#files a", has_text="KB").last.click()
    started.value.save_as(tmp_path / "numbers.npz")
    with np.load(tmp_path / "numbers.npz") as arrays:
        assert arrays["cam"].shape == (7, 7)
    made = read_provenance(tmp_path / "numbers.npz")
    assert (made["class"], made["source"], made["network"]) == ("espresso", "my cat.jpg", "vgg16_tiny")


def test_a_sample_another_network_layer_method_and_colours(tab, cat):
    drop(tab, cat)
    wait_for_caption(tab, ": original")
    tab.locator("#samples button").nth(1).click()
    wait_for_caption(tab, "espresso: original")
    choose(tab, "network", "resnet_v1_50_tiny")
    choose(tab, "layer", "block3")
    choose(tab, "method", "LayerCAM")
    wait_for_caption(tab, "espresso: LayerCAM")
    before = picture(tab, 2)
    choose(tab, "colormap", "jet")
    tab.wait_for_function(f"!document.querySelector('#pictures').innerHTML.includes({before!r})")
    assert len(captions(tab)) == 4
    assert "coffee.espresso.block3.layer_cam.resnet_v1_50_tiny.npz" in tab.locator("#files").inner_text().replace(
        "\n", ""
    )


def test_an_upload_that_is_no_picture_is_told_in_words_and_the_next_one_works(tab, cat, tmp_path):
    (tmp_path / "no <b>.jpg").write_bytes(b"no picture" * 100)
    drop(tab, tmp_path / "no <b>.jpg")
    said = tab.locator("#said", has_text="is not a picture that can be read")
    said.wait_for()
    assert said.inner_text().startswith("no")
    assert "/" not in said.inner_text()  # not where it lies
    drop(tab, cat)
    wait_for_caption(tab, ": original")
    assert "not a picture" not in tab.locator("#said").inner_text()


def test_uploads_of_another_kind_or_too_large_are_told(tab, tmp_path):
    large = np.random.default_rng(0).integers(0, 255, (800, 800, 3), dtype=np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size > MOST
    drop(tab, tmp_path / "large.png")
    tab.get_by_text("exceed the maximum allowed size").first.wait_for()


def test_words_that_are_no_class_are_told(tab):
    tab.locator("#samples button").nth(1).click()
    wait_for_caption(tab, "espresso: original")
    box = tab.locator("#classes input").first
    box.click()
    box.type("qwertz")
    box.press("Enter")
    tab.locator("#said", has_text="no class 'qwertz' among the 200 of vgg16_tiny").wait_for()


def asked(address, path, body=None, kind="application/json"):
    """The code and the text that the server answers with."""
    request = urllib.request.Request(f"{address}{path}", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def of_the_upload(address, path):
    """What the server tells of a file that it is given as the upload."""
    config = json.loads(asked(address, "config")[1])
    assert config["analytics_enabled"] is False
    (upload,) = (one["id"] for one in config["components"] if one["props"].get("elem_id") == "upload")
    number = next(one["id"] for one in config["dependencies"] if one["inputs"] == [upload])
    session = f"someone with {path}".encode().hex()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file], "fn_index": number, "session_hash": session, "event_data": None}
    asked(address, "gradio_api/queue/join", json.dumps(body).encode())
    return asked(address, f"gradio_api/queue/data?session_hash={session}")[1]


def test_other_files_of_the_machine_are_not_given_away(address, tmp_path):
    (tmp_path / "other.txt").write_text("secret")
    for path in (tmp_path / "other.txt", "setup.py", "/etc/hostname"):
        code, text = asked(address, f"gradio_api/file={path}")
        assert code in (403, 404), path
        assert "secret" not in text


def test_the_server_holds_uploads_to_their_size_and_kind_whatever_the_page_did(address):
    """Of requests that were not made on the page."""

    def uploaded(name, content):
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + b"\r\n--x--\r\n"
        return asked(address, "gradio_api/upload", body, "multipart/form-data; boundary=x")

    code, _ = uploaded("large.png", bytes(MOST + 1))
    assert code == 413
    code, paths = uploaded("notes.txt", b"no picture")
    assert code == 200
    assert "Invalid file type" in of_the_upload(address, json.loads(paths)[0])


def test_nothing_was_fetched_and_nothing_told_to_others(address, reached):
    """A request that gives an address in the place of an upload is refused; and what all tests here reached."""
    assert "nothing is fetched from an address" in of_the_upload(address, "http://192.0.2.1/cat.png")
    assert reached == []


def test_the_command_serves_until_it_is_interrupted_and_leaves_nothing(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "gradcam", "serve", "--network", "vgg16_tiny", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    ) as process:
        assert process.stdout.readline() == f"http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
        assert "Grad-CAM" in asked(f"http://127.0.0.1:{port}/", "config")[1]
        assert list(tmp_path.glob("gradcam-*"))
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (130, "gradcam: interrupted\n")
    assert list(tmp_path.glob("gradcam-*")) == []
