"""Published weights from the web into a folder: verified, converted, and there only when whole."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import pathlib
import shutil
import tarfile
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from slim_models import files
from slim_models.builders import architecture
from slim_models.fetching import fetch
from slim_models.locks import Lock
from slim_models.mistakes import BadValue, UnknownName, Unreachable
from slim_models.weights import evaluated_weights, put_in_place, verify, write_weights

# Whatever makes one source useless and the next one worth trying.
FAILURES = (OSError, ValueError, EOFError, tarfile.TarError, zlib.error, http.client.HTTPException, RecursionError)
# The VGGs were trained in Caffe; all files of one hold the same numbers, and end as vgg16.npy and vgg19.npy.
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_CAFFE = "https://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe"


def download(
    name: str,
    folder: str | os.PathLike | None = None,
    *,
    sources: Sequence[Source] | None = None,
    force: bool = False,
    say: Callable[[str], Any] = lambda line: None,
) -> pathlib.Path:
    """Fetches a network's published weights.

    The sources are tried in order until one's file arrives whole, has its published hash, and holds every
    variable of the network in its shape. Where no hash was published, the SHA-256 of the first download is
    recorded beside the weights, and later downloads are held against it.

    Args:
        name: of a network that has sources.
        folder: where the weights go; None is `$GRADCAM_WEIGHTS` or `./weights`.
        sources: None for the table's.
        force: fetch the weights also if they are there.
        say: called with a line for every step.

    Returns:
        The file of weights, under the name by which `find_weights` finds it.

    Raises:
        KeyError: no sources for that network.
        OSError: no source gave the weights; the message has a line with its reason for each.
    """
    check_fetched(name)
    target = pathlib.Path(folder or files.folders()[0]).expanduser() / architecture(name).file
    if files.is_there(target) and not force:
        say(f"{target} is here")
        return target
    reasons = []
    with _workshop(target) as workshop:
        for source in SOURCES[name] if sources is None else sources:
            say(f"fetching {source.url} (about {source.megabytes} MB)")
            try:
                _fetch(name, source, target, workshop, say)
            except FAILURES as error:
                reasons.append(f"  {source.url}: {_reason(error)}")
            else:
                say(f"{target} is here")
                return target
    raise Unreachable("\n".join([f"no source gave the weights of {name}:", *reasons]))


def check_fetched(name: str) -> None:
    """Raises a KeyError if no weights of that network are published where they can be fetched."""
    if name not in SOURCES:
        raise UnknownName(f"there is nothing to fetch for {name!r}; published weights: {', '.join(SOURCES)}")


def _reason(error: Exception) -> str:
    """An error in a few words of one line: what the web's libraries say can fill a screen."""
    text = " ".join(str(error).partition(" for url: ")[0].split()) or type(error).__name__
    return "the server cannot be reached" if "Max retries exceeded" in text else text


def mirrored(name: str, url: str) -> Source:
    """The source of a network whose file somebody else serves under the same name, for `download`.

    Raises:
        KeyError: the network has no source with a file of that name.
    """
    sources = {_file_name(source.url): source for source in SOURCES.get(name, ())}
    if _file_name(url) not in sources:
        raise UnknownName(f"{url} is none of the files that hold {name}; they are {', '.join(sources) or 'unknown'}")
    return dataclasses.replace(sources[_file_name(url)], url=url)


def _file_name(url: str) -> str:
    return pathlib.PurePosixPath(urllib.parse.urlparse(url).path).name


@contextlib.contextmanager
def _workshop(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """An empty folder beside the target, so that what is done in it can be renamed to the target.

    It always has the same name: what a killed download left there goes when the next one begins. Folders that are made
    for it and stay empty go too.

    Raises:
        OSError: another process is at work there.
    """
    folder = target.with_name(f".fetching-{target.name}")
    made = [place for place in folder.parents if not place.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(f"{folder}.lock")
    if not lock.acquire():
        raise Unreachable(f"another process is fetching {target} already")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        with contextlib.suppress(OSError):  # the first that is not empty
            for place in made:
                place.rmdir()


def _fetch(name: str, source: Source, target: pathlib.Path, workshop: pathlib.Path, say: Callable[[str], Any]) -> None:
    """One source's file, from the web to `target`; anything wrong with it is raised."""
    fetched = workshop / _file_name(source.url)
    fetch(source.url, fetched, source.megabytes * 10**6, verify.MOST)
    if what := files.impostor(fetched):
        raise BadValue(f"what came is {what}")
    record = target.with_name(f"{target.name}.sha256")
    say(f"  {verify.checked(fetched, source.published_hash, record)}")
    file = verify.unpacked(fetched, source.member) if source.member else fetched

    from slim_models.builders import build  # brings TensorFlow, which what cannot be had does not need
    from slim_models.weights import check_weights

    network = build(name)
    weights = check_weights(network, evaluated_weights(file, say=lambda line: say(f"  {line}")))
    say(f"  all {len(network.variables())} variables are there, in their shapes")
    if source.published_hash is None and verify.record(fetched, record):
        say(f"  its SHA-256 is recorded in {record}; later downloads will be held against it")
    if file.is_file() and file.suffix == target.suffix:
        put_in_place(file.rename(workshop / target.name).parent, target)
    else:
        write_weights(target, {variable: weights[variable] for variable in network.variables()})


@dataclasses.dataclass(frozen=True)
class Source:
    """A file on the web that holds a network's weights.

    Attributes:
        url: its address.
        published_hash: `"md5:..."`, `"sha1:..."` or `"sha256:..."` as its owners published it, of PyTorch's its first
            digits, which are in the file's name; None where they never did.
        megabytes: how large its weights are; the file itself may be a little smaller.
        member: the file of weights in it, or the prefix of a V2 checkpoint, if it is a tar archive.
    """

    url: str
    published_hash: str | None
    megabytes: int
    member: str | None = None


def _slim(archive: str, member: str, megabytes: int) -> tuple[Source, ...]:
    """An archive of TF-Slim's, at its storage's secure address and at the one that slim names."""
    addresses = ("https://storage.googleapis.com/download.tensorflow.org", "http://download.tensorflow.org")
    return tuple(Source(f"{address}/models/{archive}", None, megabytes, member) for address in addresses)


def _torchvision(file: str, megabytes: int) -> tuple[Source, ...]:
    digits = file.removesuffix(".pth").rpartition("-")[2]
    return (Source(f"https://download.pytorch.org/models/{file}", f"sha256:{digits}", megabytes),)


SOURCES: dict[str, tuple[Source, ...]] = {
    "vgg16": (
        Source(
            f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            "md5:64373286793e3c8b2b4e3219cbf3544b",
            553,
        ),
        Source(
            "https://s3.amazonaws.com/content.udacity-data.com/nd101/vgg16.npy",
            "sha1:6206897b35c2bfe5d9d16b83314e44fc3ea83b1c",
            553,
        ),
        Source(
            f"{_CAFFE}/VGG_ILSVRC_16_layers.caffemodel",
            "sha1:9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
            553,
        ),
        *_slim("vgg_16_2016_08_28.tar.gz", "vgg_16.ckpt", 553),
    ),
    "vgg19": (
        Source(
            f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5",
            "md5:cbe5617147190e668d6c5d5026f83318",
            575,
        ),
        Source(
            f"{_CAFFE}/VGG_ILSVRC_19_layers.caffemodel",
            "sha1:239785e7862442717d831f682bb824055e51e9ba",
            575,
        ),
        *_slim("vgg_19_2016_08_28.tar.gz", "vgg_19.ckpt", 575),
    ),
    "resnet_v1_50": _slim("resnet_v1_50_2016_08_28.tar.gz", "resnet_v1_50.ckpt", 102),
    "resnet_v1_101": _slim("resnet_v1_101_2016_08_28.tar.gz", "resnet_v1_101.ckpt", 178),
    "mobilenet_v1": _slim("mobilenet_v1_2018_02_22/mobilenet_v1_1.0_224.tgz", "mobilenet_v1_1.0_224.ckpt", 17),
    "vgg16_torchvision": _torchvision("vgg16-397923af.pth", 553),
    "vgg19_torchvision": _torchvision("vgg19-dcbb9e9d.pth", 575),
    "resnet_v1_5_50": _torchvision("resnet50-0676ba61.pth", 103),
    "resnet_v1_5_101": _torchvision("resnet101-63fe2227.pth", 179),
}
