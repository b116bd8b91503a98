"""Class names."""

import pytest

import slim_models
from slim_models.labels import Labels, labels_for, list_for, read_labels


@pytest.fixture(scope="module")
def imagenet():
    return read_labels("imagenet")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("tiger cat", 282),
        ("Tiger  Cat", 282),
        ("boxer", 242),
        ("n02108089", 242),
        ("242", 242),
        ("Tinca tinca", 0),
        ("toilet tissue", 999),
        ("tank suit", 639),
        ("maillot, tank suit", 639),
        ("espresso", 967),
    ],
)
def test_imagenet_by_name_synonym_id_and_index(imagenet, query, index):
    assert imagenet.index(query) == index


@pytest.mark.parametrize(("query", "candidates"), [("crane", (134, 517)), ("maillot", (638, 639))])
def test_an_ambiguous_name_lists_its_candidates(imagenet, query, candidates):
    first, second = candidates
    with pytest.raises(KeyError, match=rf"'{query}' names 2 classes.*\b{first} \(n\d{{8}}.*\b{second} \(n\d{{8}}"):
        imagenet.index(query)


def test_an_unknown_name_suggests_similar_ones(imagenet):
    with pytest.raises(KeyError, match=r"no class 'tiger dog'.*282 \(n02123159: tiger cat\)"):
        imagenet.index("tiger dog")
    with pytest.raises(KeyError, match=r"no class 'cat'.*\b281 \(n02123045: tabby, tabby cat\)"):
        imagenet.index("cat")
    with pytest.raises(KeyError, match=r"no class 'tyger cat' among 1000; similar: 282 \(n02123159: tiger cat\)$"):
        imagenet.index("tyger cat")
    for word in ("qwertz", "dgo", "castle of x"):  # what is alike by its letters alone is no help
        with pytest.raises(KeyError, match="no class '[a-z ]*' among 1000$" if word != "castle of x" else "483"):
            imagenet.index(word)
    with pytest.raises(KeyError, match="no class 'qwertz' among 1000$"):
        imagenet.index("qwertz")


def test_an_index_out_of_range(imagenet):
    with pytest.raises(KeyError, match="1000.*0 to 999"):
        imagenet.index("1000")


@pytest.mark.parametrize(("name", "count"), [("imagenet", 1000), ("tiny_imagenet", 200)])
def test_lists_are_complete_and_in_the_order_of_their_ids(name, count):
    labels = read_labels(name)
    assert len(labels.wnids) == len(labels.names) == len(set(labels.wnids)) == count
    assert list(labels.wnids) == sorted(labels.wnids)
    assert all(wnid[0] == "n" and wnid[1:].isdigit() and len(wnid) == 9 for wnid in labels.wnids)
    assert all(labels.name(i) for i in range(count))


def test_every_tiny_class_has_the_same_names_in_imagenet():
    tiny, imagenet = read_labels("tiny_imagenet"), read_labels("imagenet")
    names = dict(zip(imagenet.wnids, imagenet.names, strict=True))
    shared = [i for i, wnid in enumerate(tiny.wnids) if wnid in names]
    assert len(shared) > 180
    assert all(tiny.names[i] == names[tiny.wnids[i]] for i in shared)


def built(name, num_classes, **options):
    return slim_models.build(name, image_size=32, width_divisor=8, num_classes=num_classes, **options)


def test_labels_belong_to_a_network_with_its_own_number_of_classes():
    assert built("vgg16", 1000).labels.name(282) == "tiger cat"
    assert built("resnet_v1_50_tiny", 200).labels.name(0) == "goldfish"
    assert built("vgg16", 20).labels is None
    assert built("vgg16", 999).labels is None
    assert built("vgg16_tiny", 201).labels is None  # ImageNet has a background, Tiny ImageNet none


def test_labels_of_ones_own(tmp_path):
    """Of a network fine-tuned on two classes, by every way in."""
    names = tmp_path / "names.txt"
    names.write_text("n02123045\ttabby, tabby cat\nespresso\n")
    weights = slim_models.random_weights(built("vgg16", 2))
    networks = [
        built("vgg16", 2, labels=names),
        slim_models.build_for("vgg16", weights, labels=str(names)),
        slim_models.open_network("vgg16", weights, labels=names),
        built("vgg16", 2, labels=Labels(("n02123045", ""), ("tabby, tabby cat", "espresso"))),
    ]
    for network in networks:
        labels = network.labels
        assert labels.index("tabby cat") == labels.index("n02123045") == 0
        assert labels.index("Espresso") == 1
        with pytest.raises(KeyError, match="no class ''"):
            labels.index("")
    assert slim_models.open_network("vgg16", weights).labels is None
    with pytest.raises(ValueError, match=r"2 labels in .*names.txt for 1000 classes"):
        built("vgg16", 1000, labels=names)


class TestLabelsFor:
    """What is written in a file is what is meant."""

    def of(self, tmp_path, content, num_classes):
        path = tmp_path / "names.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return labels_for(path, num_classes)

    def test_a_blank_last_line_is_no_class(self, tmp_path, imagenet):
        text = "\n".join(imagenet.names)
        for end in ("", "\n", "\n\n", "\r\n \n"):
            labels = self.of(tmp_path, text + end, 1001)
            assert labels.name(0) == "background"
            assert labels.names[1:] == imagenet.names
            assert self.of(tmp_path, text + end, 1000).names == imagenet.names

    def test_no_class_is_invented(self, tmp_path):
        nine = "".join(f"class {i}\n" for i in range(9))
        with pytest.raises(ValueError, match=r"9 labels in .* for 10 classes"):
            self.of(tmp_path, nine, 10)
        with pytest.raises(ValueError, match="9 labels for 10 classes"):
            labels_for([f"class {i}" for i in range(9)], 10)

    def test_a_byte_order_mark_is_no_part_of_a_name(self, tmp_path):
        assert self.of(tmp_path, "\ufeffcat\ndog\n", 2).names == ("cat", "dog")
        assert self.of(tmp_path, "\ufeffn02123045\ttabby\ndog\n", 2).wnids == ("n02123045", "")

    def test_another_encoding(self, tmp_path):
        with pytest.raises(ValueError, match=r"names.txt is no text in UTF-8"):
            self.of(tmp_path, "caf\xe9\ndog\n".encode("latin-1"), 2)

    def test_an_empty_line_between_names(self, tmp_path):
        with pytest.raises(ValueError, match=r"names.txt:2: the line is empty"):
            self.of(tmp_path, "cat\n\ndog\n", 3)

    def test_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="0 labels in .* for 2 classes"):
            self.of(tmp_path, "", 2)


def test_a_network_with_one_class_more_has_the_background_first(imagenet):
    labels = list_for("imagenet", 1001)
    assert labels == built("mobilenet_v1", 1001).labels == labels_for("imagenet", 1001)
    assert labels.names == ("background", *imagenet.names)
    assert labels.wnids == ("", *imagenet.wnids)
    assert labels.name(0) == "background"
    assert labels.index("background") == 0
    assert labels.index("espresso") == 968
    assert labels.index("n02123159") == labels.index("tiger cat") == 283
    assert labels.index("1000") == 1000
    assert labels.name(1000) == "toilet tissue"
    assert labels.file_name(0) == "background"
    assert labels.file_name(135) == "crane_135"
    assert list_for("imagenet", 1000) == imagenet
    with pytest.raises(KeyError, match="0 to 1000"):
        labels.index("1001")
    with pytest.raises(KeyError, match="'crane' names 2 classes.*135 .*518 "):
        labels.index("crane")
    with pytest.raises(KeyError, match="no class ''"):
        labels.index("")


def test_an_unknown_list():
    with pytest.raises(KeyError, match="'cifar'"):
        read_labels("cifar")


def test_file_names_of_two_classes_never_collide(imagenet):
    names = [imagenet.file_name(i) for i in range(1000)]
    assert len({name.lower() for name in names}) == 1000
    assert imagenet.file_name(282) == "tiger_cat"
    assert imagenet.file_name(134) == "crane_134"
