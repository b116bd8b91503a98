"""Draws the page of `gradcam serve` as a browser shows it, with two classes of a sample: docs/serve.png.

It needs gradio, playwright and a Chromium: pip install -e ".[web]" playwright && apt-get install chromium.
"""

import argparse
import shutil
import tempfile

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import MissingPackage

with quiet_tensorflow():
    import slim_models
    from gradcam.cli import page, serving, studio

PORT = 7869


def main():
    """Serves the page, chooses, and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out/serve.png", metavar="FILE", help="default: %(default)s")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise MissingPackage("there is no Chromium: apt-get install chromium")
    serving.check_gradio()
    networks = {slim_models.DEFAULT_NETWORK: slim_models.open_network}
    with tempfile.TemporaryDirectory() as folder, studio.Studio(networks) as shown:
        gradio = serving.quiet_gradio(folder)
        blocks = page.page(shown, gradio)
        draw(page.launch(blocks, gradio, "127.0.0.1", PORT, 2**20), chromium, args.out)
        blocks.close(verbose=False)
    print(args.out)


def draw(address, chromium, out):
    """The page with the cat and the coffee, explained as tabby and as espresso."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.goto(address)
        tab.locator("#samples button").last.click()
        tab.locator("#pictures .caption-label").first.wait_for()
        for name in ("tabby, tabby cat", "espresso (967)"):
            tab.locator("#classes input").fill(name)
            tab.locator("ul[role=listbox] li", has_text=name).first.click()
            tab.locator("#pictures .caption-label", has_text=name.split(",")[0].split(" (")[0]).first.wait_for()
        tab.locator("h1").click()  # the list of classes closes
        tab.wait_for_timeout(3000)
        tab.screenshot(path=out, full_page=True)
        browser.close()


if __name__ == "__main__":
    run_script("draw_page", main)
