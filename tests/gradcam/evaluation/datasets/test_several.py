"""PASCAL VOC and COCO: small files as the real ones are, with several classes a picture."""

import json

import numpy as np
import pytest
from PIL import Image

from gradcam.evaluation.datasets import coco, read_examples
from gradcam.evaluation.datasets.example import is_difficult

SIZE = (60, 40)  # width and height


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 128, np.uint8)).save(path)


def thing(name, box, difficult=0):
    """An object as VOC has it, with a part whose name and box are not the object's."""
    x0, y0, x1, y1 = box
    sides = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
    part = f"<part><name>head</name><bndbox>{sides}</bndbox></part>"
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox>{part}</object>"


def annotation(path, *things):
    path.parent.mkdir(parents=True, exist_ok=True)
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    path.write_text(f"<annotation><filename>{path.stem}.jpg</filename>{size}{''.join(things)}</annotation>")


@pytest.fixture
def voc(tmp_path):
    """Two pictures of the test set and one that is not in it."""
    root = tmp_path / "VOCdevkit" / "VOC2007"
    dogs = thing("dog", (1, 1, 10, 20)), thing("dog", (31, 1, 60, 40), 1)
    annotation(root / "Annotations" / "000002.xml", *dogs, thing("person", (5, 5, 8, 8), 1))
    annotation(root / "Annotations" / "000004.xml", thing("cat", (1, 1, 60, 40)), thing("sofa", (1, 21, 30, 40)))
    annotation(root / "Annotations" / "000009.xml", thing("cow", (1, 1, 5, 5)))
    for name in ("000002", "000004", "000009"):
        picture(root / "JPEGImages" / f"{name}.jpg")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "test.txt").write_text("000004\n000002\n")
    return tmp_path


class TestVoc:
    def test_an_example_for_each_class(self, voc):
        found = read_examples(voc)
        assert [(one.name, one.target, one.is_first) for one in found] == [
            ("000004", "cat", True),
            ("000004#2", "sofa", False),
            ("000002", "dog", True),
        ]
        # Pixels count from 1, and the last belongs to the box; that of the difficult dog stays with the other's.
        assert found[2].boxes == ((0, 0, 10, 20), (30, 0, 60, 40))
        assert found[0].others == {"sofa": ((0, 20, 30, 40),)}
        # All people are flagged as difficult: no example, and yet they are there.
        assert found[2].others == {"person": ((4, 4, 8, 8),)}
        assert found[0].read().shape == (40, 60, 3)

    def test_the_difficult_subset(self, voc):
        """A quarter of 2400 is 600: the cat has 2400 pixels, the sofa 600, the dogs 200 and 1200 together."""
        assert [one.difficult for one in read_examples(voc)] == [False, False, False]
        assert is_difficult([(0, 0, 29, 20)], ["cat"], SIZE)
        assert not is_difficult([(0, 0, 30, 20)], ["cat"], SIZE) and not is_difficult([(0, 0, 29, 20)], [], SIZE)

    def test_lists(self, voc, tmp_path):
        (tmp_path / "mine.txt").write_text("000009  1\n")
        assert [one.name for one in read_examples(voc, labels=tmp_path / "mine.txt")] == ["000009"]
        (voc / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "test.txt").unlink()
        assert [one.name for one in read_examples(voc / "VOCdevkit" / "VOC2007")] == [
            *("000002", "000004", "000004#2", "000009")
        ]
        (tmp_path / "mine.txt").write_text("000009\n000009\n")
        with pytest.raises(ValueError, match="names the picture 000009 twice"):
            read_examples(voc, labels=tmp_path / "mine.txt")
        with pytest.raises(ValueError, match="takes no annotations"):
            read_examples(voc, annotations=tmp_path)

    def test_what_is_missing_or_broken(self, voc):
        root = voc / "VOCdevkit" / "VOC2007"
        (root / "JPEGImages" / "000002.jpg").unlink()
        with pytest.raises(FileNotFoundError, match=r"no file .*000002\.jpg"):
            read_examples(voc)
        picture(root / "JPEGImages" / "000002.jpg", (50, 40))
        with pytest.raises(ValueError, match=r"has 50 x 40 pixels, but its boxes are for 60 x 40"):
            read_examples(voc)[2].read()
        annotation(root / "Annotations" / "000004.xml", thing("cat", (30, 1, 20, 40)))
        with pytest.raises(ValueError, match=r"000004\.xml cannot be read: the box from .* is empty"):
            read_examples(voc)


def instances():
    """Two pictures with objects, the second of a crowd, and one without."""
    names = {7: "COCO_val2014_000000000007.jpg", 3: "COCO_val2014_000000000003.jpg", 9: "COCO_val2014_000000000009.jpg"}
    images = [{"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, name in names.items()]
    square = {"bbox": [10, 5, 20, 10], "segmentation": [[10, 5, 29, 5, 29, 14, 10, 14]], "iscrowd": 0}
    speck = {"bbox": [40, 20, 0, 3], "segmentation": [[40, 20, 40, 23, 40, 21]], "iscrowd": 0}
    # Column by column: two columns of 40 without, then 5 pixels of the third.
    crowd = {"bbox": [2, 0, 1, 5], "segmentation": {"counts": [80, 5, 2315], "size": [40, 60]}, "iscrowd": 1}
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 17, **square},
        {"id": 2, "image_id": 7, "category_id": 1, **speck},
        {"id": 3, "image_id": 3, "category_id": 1, **crowd},
        {"id": 4, "image_id": 3, "category_id": 17, **square},
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2014.json").write_text(json.dumps(instances()))
    for image in instances()["images"]:
        picture(tmp_path / "val2014" / image["file_name"])
    return tmp_path


class TestCoco:
    def test_an_example_for_each_class(self, root):
        found = read_examples(root)
        first, second = "COCO_val2014_000000000003.jpg", "COCO_val2014_000000000007.jpg"
        assert [(one.name, one.target, one.boxes) for one in found] == [
            (first, "person", ((2, 0, 3, 5),)),
            (f"{first}#2", "cat", ((10, 5, 30, 15),)),
            (second, "cat", ((10, 5, 30, 15),)),  # the person has no area
        ]
        assert [one.is_first for one in found] == [True, False, True]
        assert found[0].others == {"cat": found[1].boxes} and found[2].others == {}
        assert [one.difficult for one in found] == [True, True, False]

    def test_pixels(self, root):
        found = read_examples(root)
        expected = np.zeros((40, 60), bool)
        expected[:5, 2] = True
        np.testing.assert_array_equal(found[0].mask(), expected)
        expected[:] = False
        expected[5:15, 10:30] = True
        np.testing.assert_array_equal(found[1].mask(), expected)

    @pytest.mark.parametrize("place", ["val2014", "images/val2014", "."])
    def test_where_the_files_lie(self, root, place):
        if place != "val2014":
            for path in list((root / "val2014").iterdir()):
                (root / place).mkdir(parents=True, exist_ok=True)
                path.rename(root / place / path.name)
        file = root / "annotations" / "instances_val2014.json"
        assert len(read_examples(root)) == len(read_examples(file)) == 3
        assert len(read_examples(root / place, annotations=file)) == 3

    def test_the_validation_set_is_meant(self, root):
        (root / "annotations" / "instances_train2014.json").write_text("{}")
        assert coco.instances_file(root).name == "instances_val2014.json"
        (root / "annotations" / "instances_val2017.json").write_text("{}")
        assert coco.instances_file(root) is None  # which of two cannot be told

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda content: content.pop("categories"), "is not COCO's JSON of instances, .*: no 'categories'"),
            (lambda content: content["annotations"][0].update(image_id=5), "no 5"),
            (lambda content: content["annotations"][0].update(bbox=[1, 2, 3]), "is not COCO's JSON of instances"),
            (lambda content: content["annotations"][0].update(bbox=[1, 2, 3, float("nan")]), "is not finite"),
            (lambda content: content.update(images=[], annotations=[]), "it lists no pictures"),
            (lambda content: content["images"][0].update(width=10**19), r"COCO_\S+jpg has \d+ x 40 pixels, which no"),
            (lambda content: content["images"][0].update(height=-1), "has 60 x -1 pixels, which no picture can have"),
        ],
    )
    def test_broken_files(self, root, change, message):
        content = instances()
        change(content)
        (root / "annotations" / "instances_val2014.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            read_examples(root)

    def test_outlines_that_are_none(self, root):
        for outline in ({"counts": "PPYo1", "size": [40, 60]}, {"counts": [5], "size": [40, 60]}, [[1, 2, 3]], 5):
            content = instances()
            content["annotations"][2]["segmentation"] = outline
            (root / "annotations" / "instances_val2014.json").write_text(json.dumps(content))
            with pytest.raises(ValueError, match="neither polygons nor run lengths"):
                read_examples(root)[0].mask()

    def test_no_pictures(self, root):
        for path in (root / "val2014").iterdir():
            path.unlink()
        with pytest.raises(FileNotFoundError, match=r"no picture COCO_val2014_000000000003\.jpg; looked in"):
            read_examples(root)
