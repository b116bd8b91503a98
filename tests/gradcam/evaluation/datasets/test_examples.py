"""Data sets with classes and boxes: small files of every format, with names and contents as the real ones have."""

import concurrent.futures
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from gradcam.evaluation.datasets import examples, tiny_imagenet
from gradcam.evaluation.datasets.example import half_open, unique
from gradcam.pictures.samples import SAMPLES
from slim_models import labels
from slim_models.weights import archives

# ILSVRC's own numbers 1 to 4, as in map_clsloc.txt; in an order of their own.
MAP = "n02119789 1 kit_fox\nn02100735 2 English_setter\nn01440764 3 tench\nn02391049 4 zebra\n"
IMAGENET = labels.read_labels("imagenet").wnids  # of which Caffe's list has the indices
NUMBERS = [4, 1, 3, 2, 1, 4]
CLASSES = ["n02391049", "n02119789", "n01440764", "n02100735", "n02119789", "n02391049"]
NAMES = [f"ILSVRC2012_val_{i:08d}" for i in range(1, 7)]
BOXES = [(10 * i, 2, 10 * i + 19, 40) for i in range(6)]  # with their last pixels, in pictures of 60 x 50


def picture(path, size=(60, 50), **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **{"format": "JPEG", **how})


def xml(path, wnid, *boxes, size=(60, 50)):
    """As in ILSVRC2012_bbox_val_v3; the file's name inside is what some of the real ones have there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{wnid}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, box))
        + "</bndbox></object>\n"
        for box in boxes
    )
    path.write_text(
        "<annotation><folder>val</folder><filename>%s</filename><source><database>ILSVRC_2012</database></source>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size><segmented>0</segmented>\n"
        f"{objects}</annotation>\n"
    )


@pytest.fixture
def pictures(tmp_path):
    """Six validation pictures, flat."""
    for name in NAMES:
        picture(tmp_path / "pictures" / f"{name}.JPEG")
    return tmp_path / "pictures"


@pytest.fixture
def boxes(tmp_path):
    """Their XML files."""
    for name, wnid, box in zip(NAMES, CLASSES, BOXES):
        xml(tmp_path / "boxes" / f"{name}.xml", wnid, box)
    return tmp_path / "boxes"


@pytest.fixture
def lists(tmp_path):
    """The same classes in the three forms of lists."""
    folder = tmp_path / "lists"
    folder.mkdir()
    rows = [f"{n},{c} {' '.join(map(str, b))} \n" for n, c, b in zip(NAMES, CLASSES, BOXES)]
    (folder / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows[::-1]))  # is not sorted
    (folder / "val.txt").write_text("".join(f"{n}.JPEG {IMAGENET.index(c)}\n" for n, c in zip(NAMES, CLASSES)))
    (folder / "data").mkdir()
    truth = folder / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("".join(f"{number}\n" for number in NUMBERS))
    (folder / "data" / "map_clsloc.txt").write_text(MAP)
    return {"kaggle": folder / "LOC_val_solution.csv", "caffe": folder / "val.txt", "devkit": truth}


@pytest.fixture
def tiny(tmp_path):
    """A folder laid out like Tiny ImageNet's validation split, eight pictures whose first pixels count them."""
    root = tmp_path / "tiny-imagenet-200"
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("n02124075\nn01443537\n")
    order = [3, 0, 7, 1, 6, 2, 5, 4]
    for i in order:
        grey = Image.fromarray(np.full((64, 64), 30 * i, np.uint8))  # a few of the real ones are grey too
        grey.save(root / "val" / "images" / f"val_{i}.JPEG", format="JPEG", quality=100)
    rows = [f"val_{i}.JPEG\t{'n02124075' if i % 2 else 'n01443537'}\t{i}\t0\t63\t{62 - i}\n" for i in order]
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    return root


@pytest.fixture
def tiny_zip(tiny):
    with zipfile.ZipFile(tiny.parent / "tiny-imagenet-200.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in tiny.rglob("*"):
            archive.write(path, path.relative_to(tiny.parent))
    return tiny.parent / "tiny-imagenet-200.zip"


def targets(found):
    return [example.target for example in found]


class TestBoxes:
    def test_the_last_pixel_belongs_to_the_box(self):
        """A picture of 64 pixels has the pixels 0 to 63."""
        assert half_open((0, 0), (63, 63)) == (0, 0, 64, 64)
        assert half_open((5, 6), (5, 6)) == (5, 6, 6, 7)

    def test_clips(self):
        assert half_open((-3, 0), (500, 374), (500, 375)) == (0, 0, 500, 375)

    @pytest.mark.parametrize(("first", "last"), [((5, 0), (4, 9)), ((60, 0), (70, 9))])
    def test_an_empty_one_is_an_error(self, first, last):
        with pytest.raises(ValueError, match=r"the box from pixel \(\d+, 0\) .* is empty in a picture of 60 x 50"):
            half_open(first, last, (60, 50))

    def test_unique_names(self):
        assert unique(["a", "b", "a", "a#2", "a"]) == ["a", "b", "a#2", "a#2#2", "a#3"]


class TestTinyImageNet:
    @pytest.mark.parametrize("packed", [False, True])
    def test_order_classes_boxes_pictures(self, tiny, tiny_zip, packed):
        found = examples.read_examples(str(tiny_zip if packed else tiny))
        assert [example.name for example in found] == [f"val_{i}.JPEG" for i in (3, 0, 7, 1, 6, 2, 5, 4)]
        assert targets(found)[:3] == ["n02124075", "n01443537", "n02124075"]
        assert [example.boxes for example in found[:3]] == [((3, 0, 64, 60),), ((0, 0, 64, 63),), ((7, 0, 64, 56),)]
        for example in found:
            pixels = example.read()
            assert pixels.dtype == np.uint8
            np.testing.assert_array_equal(pixels, np.full((64, 64, 3), 30 * int(example.name[4])))

    def test_threads_read_the_zip_at_once(self, tiny_zip):
        found = examples.tiny_imagenet_examples(tiny_zip)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            colours = list(pool.map(lambda example: int(example.read()[0, 0, 0]), found * 100))
        assert colours == [30 * int(example.name[4]) for example in found] * 100

    @pytest.mark.parametrize(
        ("member", "most", "said"),
        [
            # Of what is read at once: a list of zeros, and a picture with a megabyte of zeros behind it.
            (
                "val/val_annotations.txt",
                {"_MOST_BYTES": 2**20},
                r"val_annotations.txt in it claims 1,\d{3},\d{3} bytes",
            ),
            ("val/images/val_3.JPEG", {"_MOST_BYTES": 2**20}, r"val_3.JPEG in it claims 1,\d{3},\d{3} bytes"),
            # Of all together, none of which is large.
            ("val/images/val_3.JPEG", {}, r"what it holds claims [\d,]+ bytes, from a file of [\d,]+: more than 100"),
        ],
    )
    def test_a_zip_that_unpacks_to_more_than_it_can_hold(self, tiny, tiny_zip, monkeypatch, member, most, said):
        path = tiny / member
        path.write_bytes(path.read_bytes() + bytes(2**20))
        with zipfile.ZipFile(tiny.parent / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in tiny.rglob("*"):
                archive.write(file, file.relative_to(tiny.parent))
        for name, value in most.items():
            monkeypatch.setattr(tiny_imagenet, name, value)
        monkeypatch.setattr(archives, "HARMLESS", 2**19)  # as of a small file
        examples.read_examples(str(tiny_zip))
        with pytest.raises(ValueError, match=r"bomb\.zip is not Tiny ImageNet: .*" + said):
            examples.read_examples(str(tiny.parent / "bomb.zip"))

    def test_a_picture_that_claims_more_pixels_than_can_be(self, tiny, monkeypatch):
        """OpenCV, which reads them, would set aside gigabytes."""
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**4 // 2)
        picture(tiny / "val" / "images" / "val_3.JPEG", (100, 101), format="PNG")
        found = {example.name: example for example in examples.read_examples(str(tiny))}
        assert found["val_2.JPEG"].read().shape == (64, 64, 3)
        with pytest.raises(ValueError, match="the picture is too large: .*10100"):
            found["val_3.JPEG"].read()

    def test_what_is_none(self, tiny, tmp_path):
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
            archive.writestr("a.txt", "a")
        with pytest.raises(FileNotFoundError, match=r"no Tiny ImageNet at .*other.zip"):
            examples.read_examples(str(tmp_path / "other.zip"))
        (tiny / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn01443537\t0\t0\t63\n")
        with pytest.raises(ValueError, match=r"val_annotations.txt:1: .*val_0.JPEG"):
            examples.tiny_imagenet_examples(tiny)


class TestIlsvrc:
    def test_boxes_of_xml(self, pictures, boxes):
        """ymax is 40, so the box goes to 41; xmax goes up to 69 in pictures that end at 60."""
        found = examples.ilsvrc_examples(pictures, boxes)
        assert [example.name for example in found] == NAMES
        assert targets(found) == CLASSES
        assert [example.boxes for example in found] == [((10 * i, 2, min(10 * i + 20, 60), 41),) for i in range(6)]
        assert found[0].read().shape == (50, 60, 3)

    def test_all_lists_and_xml_agree(self, pictures, boxes, lists):
        by_xml, by_kaggle = (examples.ilsvrc_examples(pictures, path) for path in (boxes, lists["kaggle"]))
        by_devkit, by_caffe = (examples.ilsvrc_examples(pictures, labels=lists[name]) for name in ("devkit", "caffe"))
        assert targets(by_xml) == targets(by_kaggle) == targets(by_devkit) == targets(by_caffe) == CLASSES
        assert [e.boxes for e in by_kaggle[:5]] == [e.boxes for e in by_xml[:5]]
        assert by_kaggle[5].boxes == ((50, 2, 70, 41),)  # the list does not say where the picture ends
        assert not any(example.boxes for example in by_devkit + by_caffe)
        for each in lists.values():  # nor do any two disagree
            assert targets(examples.ilsvrc_examples(pictures, boxes, each)) == CLASSES

    @pytest.mark.parametrize("kind", ["kaggle", "caffe", "devkit"])
    def test_labels_help_where_xml_is_missing(self, pictures, boxes, lists, kind):
        (boxes / f"{NAMES[2]}.xml").unlink()
        found = examples.ilsvrc_examples(pictures, boxes, lists[kind])
        assert targets(found) == CLASSES
        assert found[2].boxes == (((20, 2, 40, 41),) if kind == "kaggle" else ())
        assert found[1].boxes == ((10, 2, 30, 41),)

    def test_several_boxes(self, pictures, tmp_path):
        xml(tmp_path / "v" / f"{NAMES[0]}.xml", "n02391049", (0, 0, 9, 9), (20, 20, 59, 49))
        for name in NAMES[1:]:
            (pictures / f"{name}.JPEG").unlink()
        assert examples.ilsvrc_examples(pictures, tmp_path / "v")[0].boxes == ((0, 0, 10, 10), (20, 20, 60, 50))
        (tmp_path / "k.csv").write_text(
            f"ImageId,PredictionString\r\n{NAMES[0]},n02391049 0 0 9 9 n02391049 20 20 59 49 \r\n"
        )
        assert examples.ilsvrc_examples(pictures, tmp_path / "k.csv")[0].boxes == ((0, 0, 10, 10), (20, 20, 60, 50))

    @pytest.mark.parametrize(
        ("where", "annotations"),
        [
            ("Data/CLS-LOC/val", "Annotations/CLS-LOC/val"),  # as ILSVRC2017_CLS-LOC.tar.gz is unpacked
            ("ILSVRC/Data/CLS-LOC/val", "ILSVRC/Annotations/CLS-LOC/val"),  # as Kaggle's is
            ("ILSVRC2012_img_val", "ILSVRC2012_bbox_val_v3/val"),
            (".", "val"),  # the archives of 2012, unpacked where they lay
            ("val", "val"),
        ],
    )
    def test_finds_its_files_below_the_root(self, pictures, boxes, tmp_path, where, annotations):
        root = tmp_path / "root"
        shutil.copytree(boxes, root / annotations)
        shutil.copytree(pictures, root / where, dirs_exist_ok=True)
        found = examples.read_examples(str(root))
        assert targets(found) == CLASSES
        assert found[0].boxes == ((0, 2, 20, 41),)
        assert found[0].read().shape == (50, 60, 3)

    @pytest.mark.parametrize("kind", ["kaggle", "caffe", "devkit"])
    def test_finds_lists_below_the_root(self, pictures, lists, tmp_path, kind):
        root = tmp_path / "root"
        shutil.copytree(pictures, root / "val")
        if kind == "devkit":
            shutil.copytree(lists[kind].parent, root / "ILSVRC2014_devkit" / "data")
        else:
            shutil.copy(lists[kind], root)
        expected = CLASSES
        assert targets(examples.read_examples(root)) == expected

    def test_folders_of_classes(self, pictures, boxes, lists):
        """As the validation pictures are sorted for training programs: still in order of names, as the devkit's."""
        for name, wnid in zip(NAMES, CLASSES):
            (pictures / wnid).mkdir(exist_ok=True)
            (pictures / f"{name}.JPEG").rename(pictures / wnid / f"{name}.JPEG")
        (pictures / CLASSES[0] / "._ILSVRC2012_val_00000001.JPEG").write_bytes(b"of macOS")
        found = examples.read_examples(str(pictures))
        assert [example.name for example in found] == NAMES
        assert targets(found) == CLASSES
        assert found[0].boxes == ()
        for path in lists.values():
            assert len(examples.ilsvrc_examples(pictures, boxes, path)) == 6
            assert len(examples.ilsvrc_examples(pictures, labels=path)) == 6
        lists["caffe"].write_text("".join(f"{n}.JPEG {number - 1}\n" for n, number in zip(NAMES, NUMBERS)))
        with pytest.raises(ValueError, match=r"val_00000001 is n02391049 by .* folder, and n01491361 by the labels"):
            examples.ilsvrc_examples(pictures, labels=lists["caffe"])

    def test_pictures_of_every_kind(self, pictures, boxes):
        """The real ones have one CMYK JPEG, one PNG named .JPEG, grey ones, and EXIF that turns what boxes do not."""
        pixels = np.full((50, 60, 3), (200, 30, 30), np.uint8)
        Image.fromarray(pixels).convert("CMYK").save(pictures / f"{NAMES[0]}.JPEG", format="JPEG")
        Image.fromarray(pixels).save(pictures / f"{NAMES[1]}.JPEG", format="PNG")
        Image.fromarray(pixels[..., 0]).save(pictures / f"{NAMES[2]}.JPEG", format="JPEG")
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(pixels).save(pictures / f"{NAMES[3]}.JPEG", format="JPEG", exif=exif)
        read = [example.read() for example in examples.ilsvrc_examples(pictures, boxes)]
        assert {(array.shape, array.dtype) for array in read} == {((50, 60, 3), np.dtype(np.uint8))}
        for array in (read[0], read[1], read[3]):
            assert np.abs(array[25, 30].astype(int) - (200, 30, 30)).max() < 12
        assert set(read[2][25, 30]) == {200}

    def test_a_picture_of_another_size_than_its_boxes(self, pictures, boxes):
        picture(pictures / f"{NAMES[0]}.JPEG", (30, 25))
        found = examples.ilsvrc_examples(pictures, boxes)
        with pytest.raises(ValueError, match=r"val_00000001.JPEG has 30 x 25 pixels, but its boxes are for 60 x 50"):
            found[0].read()

    def test_a_part_of_the_pictures(self, pictures, boxes, lists):
        (pictures / f"{NAMES[0]}.JPEG").unlink()
        assert targets(examples.ilsvrc_examples(pictures, boxes)) == CLASSES[1:]
        assert targets(examples.ilsvrc_examples(pictures, lists["kaggle"])) == CLASSES[1:]
        with pytest.raises(ValueError, match=r"ground_truth.txt has 6 lines for 5 pictures"):
            examples.ilsvrc_examples(pictures, labels=lists["devkit"])


class TestIlsvrcErrors:
    def test_the_devkit_without_its_map(self, pictures, lists):
        (lists["devkit"].parent / "map_clsloc.txt").rename(lists["devkit"].parent.parent / "map_clsloc.txt")
        assert targets(examples.ilsvrc_examples(pictures, labels=lists["devkit"])) == CLASSES  # the folder above
        (lists["devkit"].parent.parent / "map_clsloc.txt").unlink()
        message = (
            r"order of its own, not in that of the sorted .*map_clsloc.txt .* neither in .*data nor in .*lists: put"
        )
        with pytest.raises(ValueError, match=message):
            examples.ilsvrc_examples(pictures, labels=lists["devkit"])

    def test_the_map_of_the_devkit_of_2012(self, pictures, lists):
        """An array of records in a MATLAB file, in which inner nodes of WordNet's tree follow the classes."""
        (lists["devkit"].parent / "map_clsloc.txt").unlink()
        rows = [(int(line.split()[1]), line.split()[0], line.split()[2], 0) for line in MAP.splitlines()]
        fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
        synsets = np.array([*rows, (1001, "n00001740", "entity", 3)], fields)
        meta = lists["devkit"].parent / "meta.mat"
        scipy.io.savemat(meta, {"synsets": synsets[:, None]})
        assert targets(examples.ilsvrc_examples(pictures, labels=lists["devkit"])) == CLASSES
        meta.write_bytes(meta.read_bytes()[:200])
        with pytest.raises(ValueError, match=r"meta\.mat is no map of classes"):
            examples.ilsvrc_examples(pictures, labels=lists["devkit"])

    def test_broken_maps_and_numbers(self, pictures, lists):
        lists["devkit"].write_text("4\n1\n3\n2\n1\n0\n")
        with pytest.raises(ValueError, match=r"ground_truth.txt:6: '0' is none of the 4 classes in map_clsloc.txt"):
            examples.ilsvrc_examples(pictures, labels=lists["devkit"])
        for text in ("kit_fox\n", MAP + "n02123159 4 tiger_cat\n"):
            (lists["devkit"].parent / "map_clsloc.txt").write_text(text)
            with pytest.raises(ValueError, match=r"map_clsloc.txt is no map of classes .*each number once"):
                examples.ilsvrc_examples(pictures, labels=lists["devkit"])

    def test_caffes_list_in_ilsvrcs_order(self, pictures, boxes, lists):
        """The classical trap: the devkit's numbers written like Caffe's; only boxes with WordNet ids show it."""
        lists["caffe"].write_text("".join(f"{n}.JPEG {number - 1}\n" for n, number in zip(NAMES, NUMBERS)))
        with pytest.raises(
            ValueError, match=r"val_00000001 is n02391049 by its annotations or its folder, and n01491361 by the labels"
        ):
            examples.ilsvrc_examples(pictures, boxes, lists["caffe"])

    def test_a_list_of_running_numbers(self, pictures, tmp_path):
        (tmp_path / "val.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(NAMES, 1)))
        with pytest.raises(ValueError, match=r"the numbers in .*val.txt only count its lines.*LOC_val_solution.csv"):
            examples.ilsvrc_examples(pictures, labels=tmp_path / "val.txt")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"is no list of ILSVRC's classes; the lists are LOC_val.*Caffe's val.txt .*devkit"),
            ("tench, Tinca tinca\n", r"is no list of ILSVRC's classes"),
            ("a.JPEG 65\nb.JPEG\n", r"list.txt:2: 'b.JPEG' is no picture with an index"),
            ("a.JPEG 65\nb.JPEG 1000\n", r"list.txt:2: the class 1000 of b.JPEG is out of range: indices are 0 to 999"),
            ("a.JPEG 65\nval/a.JPEG 65\n", r"list.txt names the picture a twice"),
            ("ImageId,PredictionString\na,n01440764 1 2 3\n", r"list.txt:2: .*is no picture with a class and four"),
            ("ImageId,PredictionString\na\n", r"list.txt:2: \['a'\] is no picture"),
            ("ImageId,PredictionString\na,\n", r"list.txt:2 has no objects"),
            (
                "ImageId,PredictionString\na,n01440764 1 2 3 4 n02391049 1 2 3 4\n",
                r"has objects of 2 classes \(n01440764, ",
            ),
        ],
    )
    def test_broken_lists(self, pictures, tmp_path, text, message):
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(ValueError, match=message):
            examples.ilsvrc_examples(pictures, labels=tmp_path / "list.txt")

    def test_broken_xml(self, pictures, boxes):
        file = boxes / f"{NAMES[0]}.xml"
        whole = file.read_text()
        for old, new, message in (
            ("</annotation>", "", r"val_00000001.xml cannot be read: no element found"),
            ("<xmin>0</xmin>", "", r"val_00000001.xml cannot be read: <object> has no bndbox/xmin"),
            ("<width>60</width>", "", r"<annotation> has no size/width"),
            ("<xmax>19</xmax>", "<xmax>x</xmax>", r"val_00000001.xml cannot be read: could not convert .* 'x'"),
            (
                "<xmin>0</xmin>",
                "<xmin>30</xmin>",
                r"pixel \(30, 2\) to pixel \(19, 40\) is empty in a picture of 60 x 50",
            ),
            ("object>", "thing>", r"val_00000001.xml has no objects"),
        ):
            file.write_text(whole.replace(old, new))
            with pytest.raises(ValueError, match=message):
                examples.ilsvrc_examples(pictures, boxes)
        thing = whole[whole.index("<object>") : whole.index("</annotation>")]
        file.write_text(whole.replace("</annotation>", thing.replace("n02391049", "n01440764") + "</annotation>"))
        with pytest.raises(ValueError, match=r"objects of 2 classes \(n01440764, n02391049\); a picture of CLS-LOC"):
            examples.ilsvrc_examples(pictures, boxes)

    def test_disagreement(self, pictures, boxes, lists):
        xml(boxes / f"{NAMES[1]}.xml", "n01440764", BOXES[0])
        with pytest.raises(
            ValueError, match=r"val_00000002 is n01440764 by its annotations .* n02119789 by the labels"
        ):
            examples.ilsvrc_examples(pictures, boxes, lists["kaggle"])

    def test_pictures_without_class_or_twice(self, pictures, boxes, tmp_path):
        with pytest.raises(
            ValueError, match=r"no class for 6 of 6 pictures in .* being ILSVRC2012_val_00000001: give annotations"
        ):
            examples.read_examples(str(pictures))
        (boxes / f"{NAMES[3]}.xml").unlink()
        with pytest.raises(ValueError, match=r"no class for 1 of 6 pictures in .*ILSVRC2012_val_00000004"):
            examples.ilsvrc_examples(pictures, boxes)
        picture(pictures / f"{NAMES[3]}.jpg")
        with pytest.raises(ValueError, match=r"two files have the name ILSVRC2012_val_00000004: .*JPEG and .*jpg"):
            examples.ilsvrc_examples(pictures, boxes)

    def test_nothing_there(self, pictures, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(
            FileNotFoundError, match=r"no pictures of ILSVRC in .*empty; looked in \., Data/CLS-LOC/val"
        ):
            examples.ilsvrc_examples(tmp_path / "empty")
        with pytest.raises(FileNotFoundError, match=r"no XML files in .*empty"):
            examples.ilsvrc_examples(pictures, tmp_path / "empty")
        with pytest.raises(FileNotFoundError, match=r"no file .*none.csv"):
            examples.ilsvrc_examples(pictures, labels=tmp_path / "none.csv")


class TestCsv:
    @staticmethod
    def write(folder, *rows, header="path,class,boxes"):
        (folder / "list.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")  # as Excel does
        return folder / "list.csv"

    def test_pictures_of_ones_own(self, tmp_path):
        for name in ("a.jpg", "sub/b c.jpg", "d.jpg"):
            picture(tmp_path / name)
        path = self.write(
            tmp_path,
            "a.jpg,tabby,0 0 30.5 20; 31 0 60 50",
            '"sub/b c.jpg","tabby, tabby cat",',
            "a.jpg, n07920052 ,1 2 3 4",
            "",
            f"{tmp_path / 'd.jpg'},281,",
        )
        found = examples.read_examples(str(path))
        assert [e.name for e in found] == ["a.jpg", "sub/b c.jpg", "a.jpg#2", str(tmp_path / "d.jpg")]
        assert targets(found) == ["tabby", "tabby, tabby cat", "n07920052", 281]
        assert [e.boxes for e in found] == [((0, 0, 30.5, 20), (31, 0, 60, 50)), (), ((1, 2, 3, 4),), ()]
        assert [e.read().shape for e in found] == [(50, 60, 3)] * 4
        np.testing.assert_array_equal(found[0].read(), found[2].read())

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("a.jpg,tabby", r"list.csv:3: missing column boxes"),
            ("a.jpg", r"list.csv:3: missing column class"),
            ("a.jpg,tabby, tabby cat,0 0 1 1", r"list.csv:3: too many columns, from \['0 0 1 1'\] on; put a text with"),
            (",tabby,", r"list.csv:3: the path is empty"),
            ("a.jpg,,", r"list.csv:3: a.jpg has no class"),
            ("a.jpg,tabby,0 0 1", r"list.csv:3: the box '0 0 1' is not four numbers x0 y0 x1 y1"),
            ("a.jpg,tabby,0 0 1 1; 0 0 one 1", r"list.csv:3: the box '0 0 one 1' is not four numbers"),
            ("a.jpg,tabby,0 0 nan 1", r"list.csv:3: the box '0 0 nan 1' is not finite"),
            ("a.jpg,tabby,-1 0 1 1", r"list.csv:3: the box '-1 0 1 1' begins outside the picture"),
            ("a.jpg,tabby,9 0 9 1", r"list.csv:3: the box '9 0 9 1' is empty: x1 <= x0"),
            ("a.jpg,tabby,0 9 9 1", r"list.csv:3: the box '0 9 9 1' is empty: y1 <= y0"),
            ("a.jpg,espresso,0 0 1 1", r"list.csv:3: a.jpg with the class espresso again; give its boxes in one line"),
        ],
    )
    def test_bad_lines(self, tmp_path, row, message):
        picture(tmp_path / "a.jpg")
        with pytest.raises(ValueError, match=message):
            examples.csv_examples(self.write(tmp_path, "a.jpg,espresso,", row))

    def test_bad_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"list.csv:2: no picture at .*no.jpg"):
            examples.csv_examples(self.write(tmp_path, "no.jpg,tabby,"))
        with pytest.raises(ValueError, match=r"list.csv:1: no column class; the first line must be path,class,boxes"):
            examples.csv_examples(self.write(tmp_path, "no.jpg,", header="path,boxes"))
        with pytest.raises(ValueError, match=r"list.csv lists no pictures"):
            examples.csv_examples(self.write(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"no file .*none.csv"):
            examples.csv_examples(tmp_path / "none.csv")
        (tmp_path / "list.csv").write_bytes("path,class,boxes\ncafé.jpg,espresso,\n".encode("latin-1"))
        with pytest.raises(ValueError, match=r"list.csv is no text in UTF-8"):
            examples.csv_examples(tmp_path / "list.csv")


class TestSamples:
    def test_classes_are_classes_and_boxes_lie_in_their_pictures(self):
        found = examples.read_examples("samples")
        assert [e.name for e in found] == [
            "chelsea",
            "coffee",
            "rocket",
            "grace_hopper",
            "cat_and_coffee",
            "cat_and_coffee#2",
        ]
        imagenet = labels.read_labels("imagenet")
        assert [imagenet.index(e.target) for e in found] == [281, 967, 744, 652, 281, 967]
        for example in found:
            height, width, _ = example.read().shape
            for x0, y0, x1, y1 in example.boxes:
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height

    def test_the_boxes_of_both_follow_from_those_of_each(self):
        """The cat's columns 125 to 380 become 340 and its 300 rows 400; the cup moves from column 150 to 340."""
        box = {example.name: np.array(example.boxes[0]) for example in examples.sample_examples()}
        scaled = (box["chelsea"] - (125, 0, 125, 0)) * (340 / 255, 400 / 300, 340 / 255, 400 / 300)
        np.testing.assert_array_equal(np.clip(scaled, 0, (340, 400, 340, 400)), box["cat_and_coffee"])
        np.testing.assert_array_equal(box["coffee"] + (190, 0, 190, 0), box["cat_and_coffee#2"])

    def test_the_boxes_are_tight(self):
        """White cup on red and brown, bright rocket in the dusk: the outermost lines differ from what is around."""
        box = {example.name: example.boxes[0] for example in examples.sample_examples()}
        cup = SAMPLES["coffee"]()[:200].min(axis=2) > 190  # the rim, above the saucer's reflections
        columns = np.flatnonzero(cup[40:180, 150:430].any(axis=0)) + 150
        assert abs(columns[0] - box["coffee"][0]) <= 2
        rocket = SAMPLES["rocket"]()[100:200].astype(int)
        nose = (rocket[:, 318:328] - rocket[:, 290:300].mean(axis=1, keepdims=True)).max(axis=(1, 2))  # above the sky
        assert abs(np.flatnonzero(nose > 30)[0] + 100 - box["rocket"][1]) <= 3


class TestReadExamples:
    def test_nothing_and_nothing_known(self, tmp_path):
        takes = r"data sets are 'samples', the folder tiny-imagenet-200 or its zip, a folder of ILSVRC .* CSV file"
        with pytest.raises(FileNotFoundError, match=rf"there is nothing at .*none; {takes}"):
            examples.read_examples(str(tmp_path / "none"))
        (tmp_path / "a.txt").write_text("a")
        for path in (tmp_path, tmp_path / "a.txt"):
            with pytest.raises(ValueError, match=rf"is no data set; {takes}"):
                examples.read_examples(str(path))

    def test_options_are_ilsvrcs(self, pictures, boxes, lists, tiny):
        assert len(examples.read_examples(str(pictures), annotations=boxes, labels=lists["kaggle"])) == 6
        assert len(examples.read_examples("samples", annotations=None, labels=None)) == 6
        with pytest.raises(ValueError, match=r"samples takes no labels: a folder of ILSVRC takes both"):
            examples.read_examples("samples", labels=lists["kaggle"])
        with pytest.raises(ValueError, match=r"tiny-imagenet-200 takes no labels and no annotations"):
            examples.read_examples(str(tiny), labels=lists["kaggle"], annotations=boxes)

    def test_kaggles_list_is_not_a_list_of_pictures(self, lists):
        with pytest.raises(ValueError, match=r"LOC_val_solution.csv:1: no column path and no column class"):
            examples.read_examples(str(lists["kaggle"]))

    def test_needs_no_tensorflow(self):
        code = "import sys, gradcam.evaluation.datasets.examples; sys.exit('tensorflow' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
