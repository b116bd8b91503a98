"""Class names."""

import types

import pytest

from slim_models.labels import labels_of, read_labels


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
    with pytest.raises(KeyError, match="no class 'qwertz' among 1000"):
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


def network(name, num_classes, labels=None):
    return types.SimpleNamespace(name=name, num_classes=num_classes, labels=labels)


def test_labels_belong_to_a_network_with_its_own_number_of_classes():
    assert labels_of(network("vgg16", 1000)).name(282) == "tiger cat"
    assert labels_of(network("resnet_v1_50_tiny", 200)).name(0) == "goldfish"
    assert labels_of(network("vgg16", 20)) is None
    assert labels_of(network("my own", 1000)) is None


def test_labels_that_a_network_knows_itself():
    labels = labels_of(network("my own", 2, (("n02123045", "tabby, tabby cat"), ("", "espresso"))))
    assert labels.index("tabby cat") == labels.index("n02123045") == 0
    assert labels.index("Espresso") == 1
    with pytest.raises(KeyError, match="no class ''"):
        labels.index("")


def test_a_network_with_one_class_more_has_the_background_first(imagenet):
    labels = labels_of(network("mobilenet_v1", 1001))
    assert labels == labels_of(network("vgg16", 1001))
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
    assert labels_of(network("mobilenet_v1", 1000)) == imagenet
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
