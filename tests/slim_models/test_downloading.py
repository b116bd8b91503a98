"""Downloads from a server on this machine: what arrives is whole, verified and in its place, or nothing is."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import lzma
import os
import signal
import socket
import socketserver
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from formats import write_keras

import slim_models
from gradcam.cli.main import main
from slim_models import downloading, fetching, random_weights
from slim_models.downloading import Source

SMALL = {"width_divisor": 16, "num_classes": 4, "image_size": 32}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves `files`: path -> bytes, or (bytes, length that is promised, seconds a piece)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path not in self.server.files:
            self.send_error(404)
            return
        entry = self.server.files[self.path]
        content, promised, pause = entry if isinstance(entry, tuple) else (entry, len(entry), 0)
        self.send_response(200)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(content), 2**16):
                self.wfile.write(content[start : start + 2**16])
                time.sleep(pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The known networks, but small: what is published would be half a gigabyte."""
    for name in downloading.SOURCES:
        entry = dataclasses.replace(slim_models.NETWORKS[name], **SMALL)
        monkeypatch.setitem(slim_models.NETWORKS, name, entry)


@pytest.fixture(scope="module")
def vgg16():
    return random_weights(slim_models.build("vgg16", **SMALL))


@pytest.fixture
def npy(vgg16, tmp_path):
    """The bytes of a vgg16.npy."""
    slim_models.write_weights(tmp_path / "made" / "vgg16.npy", vgg16)
    return (tmp_path / "made" / "vgg16.npy").read_bytes()


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADCAM_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


def sha1(content):
    return f"sha1:{hashlib.sha1(content).hexdigest()}"


def npy_source(server, content, path="/vgg16.npy"):
    return Source(f"{server.url}{path}", sha1(content), 1)


def archive(members):
    """A .tar.gz: name -> content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@functools.cache
def resnet_checkpoint(seed=0):
    """The bytes of a V1 checkpoint as slim's archives hold one, with the variables that no network takes."""
    weights = random_weights(slim_models.build("resnet_v1_50", **SMALL), seed)
    weights |= {"resnet_v1_50/mean_rgb": np.zeros(3, np.float32), "global_step": np.array(0)}
    with tf.Graph().as_default(), tf.Session() as session, tempfile.TemporaryDirectory() as folder:
        variables = [tf.Variable(array, name=name) for name, array in weights.items()]
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(variables, write_version=tf.train.SaverDef.V1)
        return Path(saver.save(session, f"{folder}/resnet_v1_50.ckpt")).read_bytes()


class TestWhole:
    def test_a_file_with_its_published_hash(self, server, npy, vgg16, weights_folder):
        server.files["/vgg16.npy"] = npy
        said = []
        path = downloading.download("vgg16", sources=[npy_source(server, npy)], say=said.append)
        assert path == weights_folder / "vgg16.npy" == slim_models.find_weights("vgg16")
        assert path.read_bytes() == npy
        assert [p.name for p in weights_folder.iterdir()] == ["vgg16.npy"]
        assert any("as published" in line for line in said)
        assert any("all 32 variables" in line for line in said)

    def test_weights_that_are_there_are_not_fetched_again_unless_forced(self, server, npy, weights_folder):
        server.files["/vgg16.npy"] = npy
        for force, requests in ((False, 1), (False, 1), (True, 2)):
            downloading.download("vgg16", sources=[npy_source(server, npy)], force=force)
            assert len(server.asked) == requests

    @pytest.mark.parametrize("name", ["vgg16", "vgg19"])
    def test_keras_weights_arrive_as_npy(self, server, weights_folder, tmp_path, name):
        weights = random_weights(slim_models.build(name, **SMALL))
        keras = {
            "fc6": "fc1",
            "fc7": "fc2",
            "fc8": "predictions",
            **{f"conv{b}_{i}": f"block{b}_conv{i}" for b in range(1, 6) for i in range(1, 5)},
        }
        layers = dict.fromkeys(name.split("/")[0] for name in weights)
        content = {keras[name]: (weights[f"{name}/weights"], weights[f"{name}/biases"]) for name in layers}
        server.files["/a.h5"] = write_keras(tmp_path / "a.h5", content).read_bytes()
        source = Source(f"{server.url}/a.h5", f"md5:{hashlib.md5(server.files['/a.h5']).hexdigest()}", 1)
        path = downloading.download(name, sources=[source])
        assert path == slim_models.find_weights(name)
        assert path.name == f"{name}.npy"
        read = slim_models.read_weights(path)
        assert read.keys() == weights.keys()
        assert all((read[name] == array).all() for name, array in weights.items())

    def test_the_command(self, server, npy, weights_folder, monkeypatch, capsys):
        server.files["/vgg16.npy"] = npy
        monkeypatch.setitem(downloading.SOURCES, "vgg16", (npy_source(server, npy),))
        assert main(["download", "vgg16"]) == 0
        assert "vgg16.npy is here" in capsys.readouterr().out
        assert main(["download", "vgg16", "--from", f"{server.url}/vgg16.npy", "--dir", "elsewhere"]) == 0
        assert (weights_folder.parent / "elsewhere" / "vgg16.npy").read_bytes() == npy
        assert main(["download", "vgg16", "--from", f"{server.url}/other.npy", "--dir", "third"]) == 2
        assert "other.npy is none of the files that hold vgg16" in capsys.readouterr().err
        assert main(["download", "vgg17"]) == 2
        assert "published weights: vgg16, vgg19, resnet_v1_50, resnet_v1_101, mobilenet_v1" in capsys.readouterr().err


BAD_FILES = {
    "corrupt": (lambda npy: npy[:-9] + b"x" + npy[-8:], "its SHA1 is .* but the one published is"),
    "truncated": (lambda npy: (npy[: len(npy) // 2], len(npy), 0), "IncompleteRead|its SHA1 is"),
    "half": (lambda npy: npy[: len(npy) // 2], "its SHA1 is"),
    "HTML": (lambda npy: b"<!DOCTYPE html><html>Gone", "an HTML page, which is what a dead link gives"),
    "LFS": (lambda npy: b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a Git LFS pointer"),
    "empty": (lambda npy: b"", "an empty file"),
}


class TestNothing:
    """What is wrong is told, the next source is tried, and nothing half is left."""

    @pytest.mark.parametrize("case", BAD_FILES)
    def test_a_bad_file(self, server, npy, weights_folder, case):
        bad, message = BAD_FILES[case]
        server.files["/vgg16.npy"] = bad(npy)
        with pytest.raises(OSError, match=f"no source gave the weights of vgg16:\n  http.*vgg16.npy: .*({message})"):
            downloading.download("vgg16", sources=[npy_source(server, npy)])
        assert not weights_folder.exists()  # nor an empty folder

    def test_404_and_a_dead_server_then_a_mirror(self, server, npy, weights_folder, capsys):
        server.files["/mirror/vgg16.npy"] = npy
        dead = Source("http://127.0.0.1:9/vgg16.npy", sha1(npy), 1)
        said = []
        sources_ = [dead, npy_source(server, npy), npy_source(server, npy, "/mirror/vgg16.npy")]
        downloading.download("vgg16", sources=sources_, say=said.append)
        assert (weights_folder / "vgg16.npy").read_bytes() == npy
        assert [line.split()[1] for line in said if line.startswith("fetching")] == [source.url for source in sources_]
        with pytest.raises(OSError, match="no source gave") as failure:
            downloading.download("vgg16", sources=sources_[:2], force=True)
        first, *failures = str(failure.value).splitlines()
        assert first == "no source gave the weights of vgg16:"
        assert [line.split(": ")[0].strip() for line in failures] == [source.url for source in sources_[:2]]
        assert "cannot be reached" in failures[0]
        assert "404" in failures[1]

    def test_no_empty_folder_is_left_and_the_others_are_tried(self, server, npy, tmp_path, monkeypatch, capsys):
        dead = (Source("http://127.0.0.1:9/vgg19.npy", None, 1),)
        monkeypatch.setattr(downloading, "SOURCES", {"vgg19": dead, "vgg16": (npy_source(server, npy),)})
        there = tmp_path / "there"
        there.mkdir()
        for folder in (tmp_path / "new" / "deeper", there):
            assert main(["download", "vgg19", "--dir", str(folder)]) == 2
        assert not (tmp_path / "new").exists()
        assert not list(there.iterdir())
        capsys.readouterr()
        server.files["/vgg16.npy"] = npy
        assert main(["download", "vgg19", "vgg16", "--dir", str(there)]) == 1
        errors = capsys.readouterr().err.splitlines()
        assert errors[0] == "gradcam: no source gave the weights of vgg19:"
        assert errors[1].startswith("  http://127.0.0.1:9/vgg19.npy: ") and len(errors) == 2
        assert (there / "vgg16.npy").read_bytes() == npy

    def test_a_name_that_is_none_is_told_before_anything_is_fetched(self, server, tmp_path, capsys):
        assert main(["download", "vgg16", "vgg17", "--dir", str(tmp_path / "new")]) == 2
        printed = capsys.readouterr()
        assert not printed.out and "nothing to fetch for 'vgg17'" in printed.err
        assert not (tmp_path / "new").exists()

    def test_what_was_there_stays(self, server, npy, weights_folder):
        weights_folder.mkdir()
        (weights_folder / "vgg16.npy").write_bytes(b"before")
        with pytest.raises(OSError, match="404"):
            downloading.download("vgg16", sources=[npy_source(server, npy)], force=True)
        assert (weights_folder / "vgg16.npy").read_bytes() == b"before"

    def test_two_at_once_do_not_destroy_each_other(self, server, npy, weights_folder):
        server.files["/vgg16.npy"] = (npy, len(npy), 0.02)
        first = threading.Thread(
            target=downloading.download, args=["vgg16"], kwargs={"sources": [npy_source(server, npy)]}, daemon=True
        )
        first.start()
        while not (weights_folder / ".fetching-vgg16.npy" / "vgg16.npy").is_file():
            time.sleep(0.01)
        with pytest.raises(OSError, match="another process is fetching .*vgg16.npy already"):
            downloading.download("vgg16", sources=[npy_source(server, npy)])
        first.join()
        assert (weights_folder / "vgg16.npy").read_bytes() == npy

    def test_what_a_killed_one_left_locks_nobody_out(self, server, npy, weights_folder):
        """Whatever number it had: in a container that is started again that is our own."""
        (weights_folder / ".fetching-vgg16.npy").mkdir(parents=True)
        (weights_folder / ".fetching-vgg16.npy" / "process").write_text(str(os.getpid()))
        (weights_folder / ".fetching-vgg16.npy.lock").write_text(str(os.getpid()))
        server.files["/vgg16.npy"] = npy
        downloading.download("vgg16", sources=[npy_source(server, npy)])
        assert [path.name for path in weights_folder.iterdir()] == ["vgg16.npy"]

    @pytest.mark.parametrize("trickle", ["headers", "body"])
    def test_a_server_that_never_ends(self, npy, weights_folder, monkeypatch, trickle):
        """A byte now and then is no silence; in a header it is not even a piece."""
        monkeypatch.setattr(fetching, "GRACE", 1)
        monkeypatch.setattr(fetching, "SLOWEST", 10**6)
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve():
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    body = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" if trickle == "body" else b"HTTP/1.1"
                    connection.sendall(body)
                    while True:
                        time.sleep(0.05)
                        connection.sendall(b"x")

            threading.Thread(target=serve, daemon=True).start()
            source = Source(f"http://127.0.0.1:{listening.getsockname()[1]}/vgg16.npy", sha1(npy), 1)
            began = time.monotonic()
            with pytest.raises(OSError, match="not all has come after 2 seconds: it comes too slowly"):
                downloading.download("vgg16", sources=[source])
            assert time.monotonic() - began < 15
        assert not weights_folder.exists()

    def test_a_file_without_end(self, server, npy, weights_folder, monkeypatch):
        monkeypatch.setattr(downloading.verify, "MOST", 2**18)
        server.files["/vgg16.npy"] = (bytes(2**22), 2**40, 0)
        with pytest.raises(OSError, match="more than 262,144 bytes have come"):
            downloading.download("vgg16", sources=[npy_source(server, npy)])
        assert not weights_folder.exists()

    def test_the_right_hash_of_the_wrong_network(self, server, weights_folder, tmp_path):
        other = random_weights(slim_models.build("vgg16", image_size=32, num_classes=5, width_divisor=16))
        slim_models.write_weights(tmp_path / "other.npy", other)
        server.files["/vgg16.npy"] = (tmp_path / "other.npy").read_bytes()
        with pytest.raises(OSError, match=r"do not fit vgg16: 2 misshapen \(fc8/weights"):
            downloading.download("vgg16", sources=[npy_source(server, server.files["/vgg16.npy"])])
        assert not weights_folder.exists()  # nor an empty folder

    @pytest.mark.parametrize(("name", "other"), [("vgg16", "vgg19"), ("vgg19", "vgg16")])
    def test_one_vggs_file_for_the_other(self, server, weights_folder, tmp_path, name, other):
        slim_models.write_weights(tmp_path / "a.npy", random_weights(slim_models.build(other, **SMALL)))
        content = server.files["/vgg16.npy"] = (tmp_path / "a.npy").read_bytes()
        problem = "missing" if name == "vgg19" else "unexpected"
        message = rf"do not fit {name}: 6 {problem} \(conv3_4/weights, .*; they are those of a {other.upper()}"
        with pytest.raises(OSError, match=message):
            downloading.download(name, sources=[npy_source(server, content)])
        assert not weights_folder.exists()  # nor an empty folder

    def test_a_download_that_is_killed_and_begun_again(self, server, npy, weights_folder):
        server.files["/vgg16.npy"] = (npy, len(npy), 0.05)  # some seconds
        code = (
            "import sys, slim_models, dataclasses; from slim_models import downloading\n"
            f"source = downloading.Source({server.url + '/vgg16.npy'!r}, {sha1(npy)!r}, 1)\n"
            "downloading.download('vgg16', sources=[source], say=lambda line: print(line, flush=True))"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()  # it has begun
        deadline = time.time() + 30
        while not any(path.stat().st_size for path in weights_folder.rglob("*.npy")) and time.time() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.wait()
        process.stdout.close()
        assert not (weights_folder / "vgg16.npy").exists()
        assert list(weights_folder.iterdir())  # what a killed process cannot clear away
        server.files["/vgg16.npy"] = npy
        downloading.download("vgg16", sources=[npy_source(server, npy)])
        assert [path.name for path in weights_folder.iterdir()] == ["vgg16.npy"]
        assert (weights_folder / "vgg16.npy").read_bytes() == npy


BAD_ARCHIVES = {
    "a path outside": ({"../../evil.txt": b"x", "resnet_v1_50.ckpt": b"x"}, "outside of it, '../../evil.txt'"),
    "an absolute path": ({"/tmp/evil.txt": b"x", "resnet_v1_50.ckpt": b"x"}, "outside of it, '/tmp/evil.txt'"),
    "another file": ({"readme.txt": b"x"}, "holds 0 files resnet_v1_50.ckpt"),
    "two of them": ({"resnet_v1_50.ckpt": b"x", "a/resnet_v1_50.ckpt": b"x"}, "holds 2 files"),
    "no checkpoint": ({"resnet_v1_50.ckpt": b"not a checkpoint"}, "is not a checkpoint that can be read"),
}


class TestArchives:
    """TF-Slim's: no hash was ever published."""

    NAME = "/resnet_v1_50_2016_08_28.tar.gz"

    def download(self, server, **options):
        source = Source(f"{server.url}{self.NAME}", None, 1, "resnet_v1_50.ckpt")
        said = []
        return downloading.download("resnet_v1_50", sources=[source], say=said.append, **options), "\n".join(said)

    def test_the_first_download_is_recorded_and_later_ones_are_held_against_it(self, server, weights_folder, tmp_path):
        checkpoint = resnet_checkpoint()
        server.files[self.NAME] = archive({"./resnet_v1_50.ckpt": checkpoint})
        path, said = self.download(server)
        assert path.read_bytes() == checkpoint
        digest = hashlib.sha256(server.files[self.NAME]).hexdigest()
        record = weights_folder / "resnet_v1_50.ckpt.sha256"
        assert record.read_text() == f"{digest}  {self.NAME[1:]}\n"
        assert f"no hash was ever published for it; SHA256 {digest}" in said
        assert "all 267 variables are there" in said
        assert f"recorded in {record}" in said
        _, said = self.download(server, force=True)
        assert f"SHA256 {digest}, as recorded in {record}" in said
        server.files[self.NAME] = archive({"resnet_v1_50.ckpt": resnet_checkpoint(seed=1)})
        with pytest.raises(OSError, match=f"but the one recorded in .* is {digest}"):
            self.download(server, force=True)
        assert path.read_bytes() == checkpoint

    @pytest.mark.parametrize("case", BAD_ARCHIVES)
    def test_a_bad_archive(self, server, weights_folder, tmp_path, case):
        members, message = BAD_ARCHIVES[case]
        server.files[self.NAME] = archive(members)
        with pytest.raises(OSError, match=message):
            self.download(server)
        assert not weights_folder.exists()  # nor an empty folder
        assert not list(tmp_path.rglob("evil*"))

    def test_a_checkpoint_of_version_2_that_was_there_is_gone(self, server, weights_folder, tmp_path):
        old = random_weights(slim_models.build("resnet_v1_50", **SMALL), seed=5)
        slim_models.write_weights(weights_folder / "resnet_v1_50.ckpt", old)
        server.files[self.NAME] = archive({"resnet_v1_50.ckpt": resnet_checkpoint()})
        self.download(server)  # it is there
        assert (
            slim_models.read_weights(weights_folder)["resnet_v1_50/logits/biases"] == old["resnet_v1_50/logits/biases"]
        ).all()
        self.download(server, force=True)
        names = {path.name for path in weights_folder.iterdir()}
        assert names == {"resnet_v1_50.ckpt", "resnet_v1_50.ckpt.sha256"}
        read = slim_models.read_weights(weights_folder / "resnet_v1_50.ckpt")
        assert (read["resnet_v1_50/logits/biases"] != old["resnet_v1_50/logits/biases"]).any()

    @pytest.mark.parametrize("form", ["{0} *{1}", "{2}  {1}", "{3}  other.tar.gz"])
    def test_records_of_other_forms_count_too(self, server, weights_folder, tmp_path, form):
        content = server.files[self.NAME] = archive({"resnet_v1_50.ckpt": resnet_checkpoint()})
        digest = hashlib.sha256(content).hexdigest()
        weights_folder.mkdir()
        record = weights_folder / "resnet_v1_50.ckpt.sha256"
        record.write_text(form.format(digest, self.NAME[1:], digest.upper(), "0" * 64) + "\n")
        _, said = self.download(server)
        assert ("as recorded" in said) == ("other" not in form)
        assert digest in record.read_text().lower()
        assert record.read_text().count("\n") == 1 + ("other" in form)

    @pytest.mark.parametrize("text", ["", "abc\n", f"{'0' * 63}  resnet_v1_50_2016_08_28.tar.gz\n"])
    def test_a_spoilt_record_is_no_leave_to_take_anything(self, server, weights_folder, tmp_path, text):
        server.files[self.NAME] = archive({"resnet_v1_50.ckpt": resnet_checkpoint()})
        weights_folder.mkdir()
        (weights_folder / "resnet_v1_50.ckpt.sha256").write_text(text)
        with pytest.raises(OSError, match=r"resnet_v1_50.ckpt.sha256 does not record SHA-256s.*remove it"):
            self.download(server)

    def test_a_link_under_the_name_of_the_file_is_not_followed(self, server, weights_folder):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            entry = tarfile.TarInfo("resnet_v1_50.ckpt")
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
        server.files[self.NAME] = buffer.getvalue()
        with pytest.raises(OSError, match="holds 0 files"):
            self.download(server)

    def test_what_is_packed_in_another_way_or_nested_without_end(self, server, weights_folder):
        """A name of a name of a name, each in a member of its own, `tarfile` reads one inside another."""
        entry = tarfile.TarInfo("././@LongLink")
        entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1
        nested = (entry.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")) * 3000
        bad = [lzma.compress(b"x"), lzma.compress(b"x")[:9] + bytes(50), bz2.compress(b"x"), gzip.compress(nested)]
        for content in bad:
            server.files[self.NAME] = content
            with pytest.raises(OSError, match=r"no source gave the weights of resnet_v1_50:\n .*tar\.gz: \w.+"):
                self.download(server)
        assert not weights_folder.exists()

    def test_half_an_archive(self, server, weights_folder, tmp_path):
        whole = archive({"resnet_v1_50.ckpt": resnet_checkpoint()})
        server.files[self.NAME] = whole[: len(whole) // 2]
        with pytest.raises(OSError, match="end-of-stream|unexpected end"):
            self.download(server)
        assert not weights_folder.exists()  # nor an empty folder


MEMBER = "mobilenet_v1_1.0_224.ckpt"


@pytest.fixture(scope="module")
def mobilenet():
    return random_weights(slim_models.build("mobilenet_v1", **SMALL))


@pytest.fixture(scope="module")
def mobilenets_checkpoint(mobilenet, tmp_path_factory):
    """The folder of a checkpoint as slim's archive holds it, with the state of a training."""
    folder = tmp_path_factory.mktemp("made")
    trained = {n: a for n, a in mobilenet.items() if "moving" not in n}
    slots = ("ExponentialMovingAverage", "RMSProp", "RMSProp_1")
    state = {f"{name}/{slot}": array + 1 for name, array in trained.items() for slot in slots}
    with tf.Graph().as_default(), tf.Session() as session:
        saved = {**mobilenet, **state, "global_step": np.array(7)}
        variables = [tf.Variable(array, name=name) for name, array in saved.items()]
        session.run(tf.global_variables_initializer())
        tf.train.Saver(variables).save(session, str(folder / MEMBER))
    return folder


class TestArchivesOfVersion2:
    """MobileNet's: a checkpoint of several files, with the state of its training."""

    @pytest.fixture
    def members(self, mobilenets_checkpoint):
        """What slim's archive holds: name -> content."""
        parts = {path.name: path.read_bytes() for path in mobilenets_checkpoint.glob(f"{MEMBER}.*")}
        assert len(parts) == 3  # .data-00000-of-00001, .index, .meta
        return {**parts, "mobilenet_v1_1.0_224_info.txt": b"Model: mobilenet_v1", "mobilenet_v1_1.0_224.tflite": b"x"}

    def download(self, server, members):
        server.files["/a.tgz"] = archive(members)
        said = []
        source = Source(f"{server.url}/a.tgz", None, 1, MEMBER)
        return downloading.download("mobilenet_v1", sources=[source], say=said.append), "\n".join(said)

    def test_it_arrives_with_the_variables_alone(self, server, weights_folder, mobilenet, members):
        path, said = self.download(server, {f"./{name}": content for name, content in members.items()})
        assert path == weights_folder / "mobilenet_v1.ckpt" == slim_models.find_weights("mobilenet_v1")
        files = ["mobilenet_v1.ckpt.data-00000-of-00001", "mobilenet_v1.ckpt.index", "mobilenet_v1.ckpt.sha256"]
        assert sorted(file.name for file in weights_folder.iterdir()) == files
        assert f"all {len(mobilenet)} variables are there" in said
        read = slim_models.read_weights(path)
        assert read.keys() == mobilenet.keys()
        assert "weights: 83 moving averages in place of the variables" in said
        for name, array in mobilenet.items():
            np.testing.assert_array_equal(read[name], array if "moving" in name else array + 1)

    def test_the_state_of_training_hurts_nobody(self, mobilenet, mobilenets_checkpoint):
        read = slim_models.read_weights(mobilenets_checkpoint / MEMBER)
        assert len(read) > 2 * len(mobilenet)
        network = slim_models.build_for("mobilenet_v1", read, image_size=32)
        slim_models.check_weights(network, read)
        assert network.num_classes == SMALL["num_classes"]

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            (".index", r"holds 1 files mobilenet_v1_1.0_224.ckpt or parts of it, not one, nor .* a checkpoint; it has"),
            (".data-00000-of-00001", "a part of the checkpoint .* is missing"),
        ],
    )
    def test_a_part_that_is_missing(self, server, weights_folder, members, part, message):
        del members[f"{MEMBER}{part}"]
        with pytest.raises(OSError, match=message):
            self.download(server, members)
        assert not weights_folder.exists()  # nor an empty folder

    def test_a_part_that_is_there_twice_or_beside_a_whole_file(self, server, weights_folder, members):
        for other in (f"again/{MEMBER}.index", MEMBER):
            with pytest.raises(OSError, match="holds 3 files"):
                self.download(server, {**members, other: b"x"})
        assert not weights_folder.exists()  # nor an empty folder


def test_the_folders_readme_lists_every_file_and_hash():
    text = (Path(__file__).parents[2] / "weights" / "README.md").read_text(encoding="utf-8")
    for source in (source for found in downloading.SOURCES.values() for source in found):
        assert source.url in text or "storage.googleapis.com/download.tensorflow.org" in source.url
        assert (source.published_hash or "").partition(":")[2] in text


def test_every_source_is_of_a_network_and_has_a_hash_or_a_member():
    for name, found in downloading.SOURCES.items():
        assert name in slim_models.NETWORKS
        assert all(source.url.startswith("http") for source in found)
        assert all((source.published_hash is None) == (source.member is not None) for source in found)
