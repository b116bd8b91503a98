"""The page of `gradcam serve`, in gradio: what there is to choose, and what the studio shows of it."""

from __future__ import annotations

import contextlib
import functools
import html
import pathlib
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from gradcam.cli.studio import MOST_CLASSES, Choices, Studio, Wanted
from gradcam.maps import COLORMAPS, LOOK
from gradcam.methods import REGISTRY
from gradcam.pictures import FITS, SAMPLES, SUFFIXES, Photograph
from gradcam.terminal import MISTAKES, message
from slim_models.mistakes import MissingPackage

_T = TypeVar("_T")
_THUMBNAIL = 160  # pixels of a sample's longer side
_WAITING = 20  # requests in the queue; who comes later is told to
_CLEANED = (600, 3600)  # seconds: how often uploads are looked through, and how old those are that go
_SCALE = "Pictures: each heat map over its own maximum"
_CAPTIONS = "#pictures .caption-label { white-space: normal; overflow: visible; max-width: 100%; text-align: right; }"
# Nothing of gradio's but the page: no tunnel, no second server, no footer.
_PLAIN: dict[str, Any] = {
    **dict.fromkeys(("share", "inbrowser", "ssr_mode", "enable_monitoring", "mcp_server", "pwa", "run_history"), False),
    "quiet": True,
    "prevent_thread_lock": True,
    "footer_links": [],
}
_INTRODUCTION = """# Grad-CAM
Which part of a picture speaks for a class, and how: take a sample or drop a picture of your own. It stays on
the machine that this page comes from."""


def page(studio: Studio, gradio: Any) -> Any:
    """The page; one request at a time runs a network, and the others wait in a queue.

    Args:
        studio: whose first network is there when the page is opened.
        gradio: the library.
    """
    with gradio.Blocks(title="Grad-CAM", analytics_enabled=False, fill_width=True, delete_cache=_CLEANED) as blocks:
        gradio.Markdown(_INTRODUCTION)
        source = gradio.State()
        with gradio.Row():
            with gradio.Column(scale=1, min_width=300):
                samples = _samples(gradio)
                upload = _upload(gradio)
                network, classes, layer, *others = _choosing(gradio, studio)
            with gradio.Column(scale=3):
                shown = _showing(gradio)
        _listening(gradio, studio, source, samples, upload, [network, classes, layer, *others], shown)
    return blocks.queue(max_size=_WAITING, api_open=False)


def _listening(
    gradio: Any, studio: Studio, source: Any, samples: Any, upload: Any, chosen: list[Any], shown: list[Any]
) -> None:
    """What is done when something is picked, dropped or chosen."""
    network, classes, layer, *others = chosen
    private = {"api_visibility": "private"}
    once = {"concurrency_id": "network", "concurrency_limit": 1, **private}
    show = {"inputs": [source, *chosen], "outputs": shown, **once}
    show |= {"fn": functools.partial(_show, gradio, studio), "show_progress_on": shown[:2]}
    names = list(_readable())
    samples.click(lambda number: (f"sample:{names[number]}", None), samples, [source, upload], **private).then(**show)
    upload.upload(lambda path: path, upload, source, **private).then(**show)
    upload.clear(lambda: None, None, source, **private)
    opened = network.input(functools.partial(_choose, gradio, studio), network, [classes, layer, shown[0]], **once)
    opened.then(**show)
    # A class that was typed and is none of the list is told of as a change alone.
    for told in (classes.change, layer.input, *(other.input for other in others)):
        told(**show, trigger_mode="always_last")


def _readable() -> dict[str, Any]:
    """The samples that are installed, as small pictures by name."""
    found = {}
    for name, sample in SAMPLES.items():
        with contextlib.suppress(MissingPackage):
            found[name] = Photograph(name, sample()).shrunk(_THUMBNAIL).pixels
    return found


def _samples(gradio: Any) -> Any:
    pictures = [[pixels] for pixels in _readable().values()]
    shown = gradio.Image(visible=False, format="png")
    return gradio.Dataset(components=[shown], samples=pictures, type="index", label="Samples", elem_id="samples")


def _upload(gradio: Any) -> Any:
    """Where pictures are dropped: they are read by this project's own reader, and fetched from nowhere."""
    upload = gradio.File(label="A picture of your own", file_types=list(SUFFIXES), height=160, elem_id="upload")
    kept = upload.async_move_resource_to_block_cache

    async def refusing(url_or_file_path: Any) -> Any:
        if "://" in str(url_or_file_path):  # of a request that was not made on the page
            raise gradio.Error("a picture has to be uploaded: nothing is fetched from an address")
        return await kept(url_or_file_path)

    upload.async_move_resource_to_block_cache = refusing
    return upload


def _choosing(gradio: Any, studio: Studio) -> list[Any]:
    """Network, classes, layer, method, fit and colormap: in the order of `_show`'s arguments."""
    names = list(studio.networks)
    choices = studio.choices(names[0])
    methods = [
        (f"{entry.title} ({entry.runs})" if entry.runs else entry.title, name) for name, entry in REGISTRY.items()
    ]
    about = f"none: the predicted one; up to {MOST_CLASSES}, a row each; a minus before a name: what speaks against it"
    return [
        gradio.Dropdown(names, value=names[0], label="Network", elem_id="network"),
        gradio.Dropdown(
            **_classes(choices),
            multiselect=True,
            allow_custom_value=True,
            label="Classes",
            info=about,
            elem_id="classes",
        ),
        gradio.Dropdown(**_layers(choices), label="Layer", elem_id="layer"),
        gradio.Dropdown(methods, value="grad_cam", label="Method", info="(more runs of the network)", elem_id="method"),
        gradio.Radio(list(FITS), value=FITS[0], label="Fit", elem_id="fit"),
        gradio.Dropdown(list(COLORMAPS), value=LOOK.colormap, label="Colours", elem_id="colormap"),
    ]


def _classes(choices: Choices) -> dict[str, Any]:
    return {"choices": choices.classes, "value": []}


def _layers(choices: Choices) -> dict[str, Any]:
    return {"choices": choices.layers, "value": choices.layer}


def _showing(gradio: Any) -> list[Any]:
    """What is said, the pictures, the table and the files: in the order of `_show`'s results."""
    return [
        gradio.Markdown("Take a sample or drop a picture.", elem_id="said"),
        gradio.Gallery(label=_SCALE, format="png", object_fit="contain", elem_id="pictures"),
        gradio.Dataframe(
            headers=_headers("probability"), label="Likeliest classes", interactive=False, elem_id="table"
        ),
        gradio.File(
            label="Numbers, as gradcam explain writes them", file_count="multiple", interactive=False, elem_id="files"
        ),
    ]


def _headers(said: str) -> list[str]:
    return ["class", "name", said]


def _choose(gradio: Any, studio: Studio, network: str) -> tuple[Any, ...]:
    """The classes and layers of another network; of one that cannot be opened none, and why."""
    choices, why = _told(lambda: studio.choices(network), Choices([], [], ""))
    return gradio.Dropdown(**_classes(choices)), gradio.Dropdown(**_layers(choices)), why


def _show(
    gradio: Any,
    studio: Studio,
    source: str | None,
    network: str,
    targets: list[str],
    layer: str,
    method: str,
    fit: str,
    colormap: str,
) -> tuple[Any, ...]:
    """What the page shows of a picture; of a mistake nothing, and why."""
    if source is None:
        return gradio.skip()
    wanted = Wanted(source, network, tuple(targets), layer or None, method, fit)
    shown, why = _told(lambda: studio.explain(wanted, LOOK._replace(colormap=colormap)), None, source)
    if shown is None:
        return why, [], gradio.Dataframe([]), []
    words = "\n\n".join(shown.remarks)
    table = gradio.Dataframe(
        [[*row[:2], _number(row[2], shown.said)] for row in shown.table], headers=_headers(shown.said)
    )
    return words, gradio.Gallery(shown.pictures, columns=shown.columns), table, shown.files


def _number(value: float, said: str) -> str:
    return f"{value:.4g}" if said == "output" else f"{value:.2%}"


def _told(make: Callable[[], _T], otherwise: _T, source: str = "") -> tuple[_T, str]:
    """What is made, or something else and why it could not be: in words that the page shows.

    Args:
        make: makes it.
        otherwise: what there is if it cannot be made.
        source: of a picture, of which the page says the name and not where it lies.
    """
    try:
        return make(), ""
    except MISTAKES as error:
        said = message(error).replace(source, pathlib.Path(source).name) if source else message(error)
        return otherwise, f"**{html.escape(said)}**"
    except Exception as error:  # of this project's own: the page goes on, and the terminal shows where it was
        traceback.print_exc()
        return otherwise, f"**{type(error).__name__}: {html.escape(message(error))}** (the terminal says where)"


def launch(blocks: Any, gradio: Any, host: str, port: int, most_bytes: int) -> str:
    """Serves a page in threads of its own; `blocks.close()` ends them.

    Args:
        blocks: the page.
        gradio: the library.
        host: the address of this machine that is listened at.
        port: of it.
        most_bytes: of an upload.

    Returns:
        The page's address.
    """
    # Fonts that every system has: gradio's own would be fetched.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    _, address, _ = blocks.launch(
        server_name=host, server_port=port, max_file_size=most_bytes, theme=theme, css=_CAPTIONS, **_PLAIN
    )
    return address
