"""What the training of the embedded networks is made of: schedule, start, teacher, examples and loss."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2
from training import examples, teacher
from training.schedule import Schedule, read_stages
from training.starting import start_from
from training.trainer import BATCH, Trainer, configuration, place_loss

import slim_models
from slim_models.builders import layers
from slim_models.builders.vgg import vgg16
from slim_models.weights import fill

SMALL = {"batch_norm": True, "pool5_size": 1}
THIN = {"num_classes": 7, "width_divisor": 16}


class TestSchedule:
    def test_by_epochs(self):
        schedule = Schedule(((64, 3), (96, 1), (112, 1)), peak=0.2)
        shares = [schedule.share(epochs, seconds=1e9) for epochs in (0, 0.5, 1, 2.999, 3, 4, 5, 6)]
        assert shares == pytest.approx([0, 0.1, 0.2, 0.5998, 0.6, 0.8, 1, 1])
        assert [schedule.size(share) for share in shares] == [64, 64, 64, 64, 96, 112, 112, 112]
        # Half of the warm-up; its end; the cosine's middle, and its end.
        assert [schedule.rate(share) for share in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.1, 0.2, 0.1, 0])

    def test_by_time(self):
        schedule = Schedule(((64, 3), (96, 1), (112, 1)), peak=0.2, hours=2)
        assert schedule.share(100, seconds=1800) == 0.25
        assert schedule.share(0, seconds=7201) == 1

    def test_one_epoch_ends_as_it_warms_up(self):
        schedule = Schedule(((64, 1),), peak=0.2)
        assert [schedule.rate(share) for share in (0, 0.5)] == pytest.approx([0, 0.1])

    @pytest.mark.parametrize("text", ["64", "64x", "64x2,", "x3", "64x2 96x1"])
    def test_sizes_that_are_none(self, text):
        with pytest.raises(ValueError, match="--sizes is PIXELSxEPOCHS"):
            read_stages(text)

    def test_sizes(self):
        assert read_stages("64x14,96x9") == ((64, 14), (96, 9))

    def test_mistakes(self):
        with pytest.raises(ValueError, match="--sizes has no epoch"):
            Schedule(read_stages("64x0"), 0.1)
        for hours in (0.0, -1.0, float("nan")):
            with pytest.raises(ValueError, match="--hours must be more than 0"):
                Schedule(((64, 1),), 0.1, hours)


class TestStart:
    @pytest.fixture
    def graph(self):
        """A plain VGG16 and one with batch norm by the stored statistics, and pictures."""
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, 32, 32, 3])
            with tf.variable_scope("plain"):
                plain, _ = vgg16(images, **THIN)
            known = tf.global_variables()
            with tf.variable_scope("normed"):
                normed, _ = vgg16(images, **THIN, batch_norm=True)
                with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                    trained, _ = vgg16(images, **THIN, batch_norm=True, training=True)
            variables = [v for v in tf.global_variables() if v not in known]
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                rng = np.random.default_rng(0)
                biases = {v.op.name: v for v in known if v.op.name.endswith("biases")}
                fill(session, biases, lambda name: rng.normal(size=biases[name].shape))
                feed = {images: rng.uniform(0, 255, (20, 32, 32, 3))}
                values = dict(zip((v.op.name.replace("plain", "normed") for v in known), session.run(known)))
                yield session, variables, feed, values, (plain, normed, trained)

    def test_batch_norm_is_put_in_and_nothing_changes(self, graph):
        session, variables, feed, values, logits = graph
        start_from(session, variables, [feed], values)
        plain, normed, trained = session.run(logits, feed)
        peak = np.abs(plain).max()
        np.testing.assert_allclose(normed, plain, atol=1e-4 * peak)
        # These pictures' own statistics are the stored ones.
        np.testing.assert_allclose(trained, plain, atol=1e-3 * peak)

    def test_every_channel_has_a_kernel_of_the_size_it_would_be_drawn_with(self, graph):
        session, variables, feed, values, _ = graph
        start_from(session, variables, [feed], values)
        named = {v.op.name: v for v in variables}
        kernel = session.run(named["normed/conv3_2/weights"])
        np.testing.assert_allclose((kernel**2).sum(axis=(0, 1, 2)), 2, rtol=1e-4)
        np.testing.assert_array_equal(session.run(named["normed/fc8/biases"]), values["normed/fc8/biases"])

    def test_what_lacks(self, graph):
        session, variables, feed, values, _ = graph
        del values["normed/fc8/weights"], values["normed/conv1_1/biases"]
        with pytest.raises(ValueError, match=r"lack normed/conv1_1/BatchNorm/beta, .*, normed/fc8/weights$"):
            start_from(session, variables, [feed], values)


class TestExamples:
    @pytest.mark.parametrize("share", [0.7, 0.4])
    def test_the_loss_is_that_of_hinton_et_al(self, share, monkeypatch):
        """At temperature 1: two cross entropies weighed are one with the weighed probabilities."""
        monkeypatch.setattr(examples, "TEACHERS_SHARE", share)
        rng = np.random.default_rng(0)
        logits, taught = rng.normal(size=(2, 4, 5)).astype(np.float32) * 3
        labels = np.array([0, 4, 2, 2])

        def log_probabilities(x):
            return x - np.log(np.exp(x).sum(axis=1, keepdims=True))

        hard = -log_probabilities(logits)[np.arange(4), labels].mean()
        soft = -(np.exp(log_probabilities(taught)) * log_probabilities(logits)).sum(axis=1).mean()
        with tf.Graph().as_default(), tf.Session() as session:
            loss = session.run(tf.losses.softmax_cross_entropy(examples.taught_labels(labels, taught), logits))
        assert loss == pytest.approx((1 - share) * hard + share * soft, rel=1e-5)

    def test_logits_of_sixteen_bits_do_not_overflow(self):
        found = examples.taught_labels(np.array([1]), np.array([[40000, 30000, -60000]], np.float16))
        np.testing.assert_allclose(found, [[0.7, 0.3, 0]], rtol=1e-6)

    def test_smoothed_labels(self):
        np.testing.assert_allclose(
            examples.smoothed_labels(np.array([2, 0]), 4), [[0.025, 0.025, 0.925, 0.025], [0.925, 0.025, 0.025, 0.025]]
        )

    @pytest.mark.parametrize("size", [(20, 20), (12, 30)])
    def test_a_rectangle_of_another_picture_counts_by_its_area(self, size):
        """Each picture is of one colour, so what is in it can be counted."""
        images = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, *size, 3))
        targets = np.eye(40, dtype=np.float32)
        mixed, beliefs = examples.cut_mix(images, targets, 1.0, np.random.default_rng(0))
        np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(40))
        np.testing.assert_array_equal(targets, np.eye(40))
        shares = []
        for i in range(40):
            counted = np.bincount(mixed[i, ..., 0].ravel(), minlength=40) / (size[0] * size[1])
            np.testing.assert_allclose(beliefs[i], counted, atol=1e-6)
            others = mixed[i, ..., 0] != i
            rows, columns = others.any(axis=1), others.any(axis=0)
            np.testing.assert_array_equal(others, rows[:, None] & columns)
            assert len(np.unique(mixed[i])) <= 2
            shares.append(others.mean())
        # Of rectangles of uniform area; the border cuts off less than half of the mean.
        assert 0.2 < np.mean(shares) < 0.5

    def test_which_pictures_are_mixed(self):
        rng = np.random.default_rng(0)
        images, targets = rng.integers(0, 256, (200, 8, 8, 3), np.uint8), np.eye(200, dtype=np.float32)
        none = examples.cut_mix(images, targets, 0.0, rng)
        np.testing.assert_array_equal(none[0], images)
        np.testing.assert_array_equal(none[1], targets)
        _, some = examples.cut_mix(images, targets, 0.5, rng)
        assert 60 < (some.max(axis=1) < 1).sum() <= 120


def test_what_places_differ_by():
    kernel = np.array([[[1.0, 2.0]], [[3.0, 2.0]], [[8.0, 2.0]]])  # three places, a channel, two outputs
    with tf.Session() as session:
        assert session.run(place_loss(tf.constant(kernel))) == pytest.approx((3**2 + 1**2 + 4**2) / 2)


class Pictures:
    """Some of Tiny ImageNet's classes, in the order of the tiny networks, of noise."""

    wnids = slim_models.labels.read_labels("tiny_imagenet").wnids[3:200:40]

    def __init__(self, count=30):
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (count, 64, 64, 3), np.uint8)
        self.labels = rng.integers(0, len(self.wnids), count)


class TestTeacher:
    def test_a_linear_map_of_all_logits_that_predicts_the_labels(self):
        """The classes' own logits say nothing, two others do."""
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, 4000)
        logits = rng.normal(size=(4000, 6)).astype(np.float32)
        logits[np.arange(4000), 4 + labels] += 2
        own = np.array([1, 3])
        mapped = teacher.fitted(logits, own, labels)
        assert mapped.shape == (4000, 2)
        before, after = ((x.argmax(axis=1) == labels).mean() for x in (logits[:, own], mapped))
        assert before < 0.55
        assert after > before

    def test_it_begins_with_the_logits_of_the_classes(self, monkeypatch):
        monkeypatch.setattr(teacher, "FITTED_EPOCHS", 0)
        logits = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
        mapped = teacher.fitted(logits, np.array([4, 0]), np.zeros(50, np.int64))
        np.testing.assert_array_equal(mapped, logits[:, [4, 0]])

    def test_logits_are_made_once(self, tmp_path, monkeypatch):
        monkeypatch.setattr(teacher, "fitted", lambda logits, own, labels: logits[:, own])
        data, file = Pictures(), tmp_path / "teacher.npy"
        logits = teacher.teacher_logits("resnet_v1_50_tiny", data, 48, file)
        assert (logits.shape, logits.dtype) == ((30, 5), np.float16)
        network = slim_models.build("resnet_v1_50_tiny", image_size=48)
        with tf.Session(graph=network.graph) as session:
            network.values.fill(session, network)
            pictures = tf.image.resize_bilinear(tf.cast(data.images, tf.float32), [48, 48], half_pixel_centers=True)
            expected = session.run(network.logits, {network.images: session.run(pictures)})[:, 3:200:40]
        assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.99
        monkeypatch.delattr(teacher, "_of_all_classes")
        np.testing.assert_array_equal(teacher.teacher_logits("resnet_v1_50_tiny", data, 48, file), logits)
        assert [path.name for path in tmp_path.iterdir()] == ["teacher.npy"]

    def test_mistakes(self, tmp_path):
        file = tmp_path / "teacher.npy"
        np.save(file, np.zeros((3, 5), np.float16))
        with pytest.raises(ValueError, match=r"teacher.npy has logits \[3, 5\], not \[30, 5\]: remove it"):
            teacher.teacher_logits("resnet_v1_50_tiny", Pictures(), 48, file)
        strange = Pictures()
        strange.wnids = ("n00000001", *strange.wnids[1:])
        with pytest.raises(ValueError, match="resnet_v1_50_tiny does not know the classes n00000001"):
            teacher.teacher_logits("resnet_v1_50_tiny", strange, 48, tmp_path / "other.npy")
        with pytest.raises(KeyError, match="no network 'resnet_v9'"):
            teacher.teacher_logits("resnet_v9", strange, 48, tmp_path / "other.npy")
        assert not (tmp_path / "other.npy").exists()


def test_hidden_places():
    """Of 2,000 pictures of 4 x 4 places: whole places, as many as are to be, and the mean as it was."""
    inputs = np.random.default_rng(0).uniform(1, 2, (2000, 4, 4, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        most = tf.placeholder(tf.float32, [])
        outputs = layers.hide_places(tf.constant(inputs), most)
        np.testing.assert_allclose(session.run(outputs, {most: 0.0}), inputs, rtol=1e-6)
        found = session.run(outputs, {most: 0.9})
    hidden = found == 0
    assert (hidden.all(axis=-1) == hidden.any(axis=-1)).all()
    shares = hidden[..., 0].mean(axis=(1, 2))
    # Uniform shares of 0 to 0.9 and a binomial of each: variance 0.9^2 / 12 + E[p (1 - p)] / 16.
    assert shares.mean() == pytest.approx(0.45, abs=0.03)
    assert shares.var() == pytest.approx(0.81 / 12 + (0.45 - 0.27) / 16, rel=0.1)
    some = shares < 1
    sums = found.sum(axis=(1, 2, 3)) / inputs.sum(axis=(1, 2, 3))
    assert sums[some].mean() == pytest.approx(1, abs=0.01)
    assert (sums[~some] == 0).all()
    kept = np.broadcast_to((1 - shares)[:, None, None, None], found.shape)[~hidden]
    np.testing.assert_allclose(found[~hidden] * kept, inputs[~hidden], rtol=1e-5)


class TestTrainer:
    def test_an_interruption_changes_nothing(self, tmp_path):
        """Three epochs of three batches; or one, whose checkpoint another trainer goes on from."""
        seen = []

        def prepare(rows, share, rng):
            size = schedule.size(share)
            seen.append((tuple(rows), share, rng.random()))
            return rng.integers(0, 256, (len(rows), size, size, 3), np.uint8), np.eye(200, dtype=np.float32)[rows % 200]

        pictures = 3 * BATCH
        schedule = Schedule(((16, 2), (32, 1)), peak=0.01)
        work = functools.partial(Trainer, "vgg16_tiny", SMALL, weight_decay=5e-4)
        whole = work()
        for epoch in range(3):
            assert whole.epoch(pictures, prepare, schedule, tmp_path)[0] == epoch
        assert whole.share(schedule, pictures) == 1
        uninterrupted, seen[:] = list(seen), []
        (tmp_path / "again").mkdir()
        first = work()
        assert not first.restore(tmp_path / "again")
        first.epoch(pictures, prepare, schedule, tmp_path / "again")
        second = work()
        assert second.restore(tmp_path / "again")
        assert (second.steps, second.seconds) == (3, pytest.approx(first.seconds))
        for name, value in first.weights().items():
            np.testing.assert_array_equal(second.weights()[name], value)
        sizes = [second.epoch(pictures, prepare, schedule, tmp_path / "again")[2] for _ in range(2)]
        assert sizes == [16, 32]
        assert seen == uninterrupted

    def test_time_that_is_over_ends_an_epoch(self, tmp_path):
        short = Trainer("vgg16_tiny", SMALL, weight_decay=5e-4)
        pictures = 3 * BATCH
        schedule = Schedule(((16, 1),), peak=0.01, hours=1e-9)
        nothing = np.zeros((BATCH, 16, 16, 3), np.uint8), np.zeros((BATCH, 200), np.float32)
        short.epoch(pictures, lambda rows, share, rng: nothing, schedule, tmp_path)
        assert short.steps == 1
        assert short.share(schedule, pictures) == 1

    def test_decay_between_places_draws_them_together_and_leaves_their_mean(self):
        """One step of fc6's kernel at 2 x 2 places with nothing to learn from: gradients are the decay's alone."""
        work = functools.partial(Trainer, "vgg16_tiny", {"pool5_size": 2}, weight_decay=0.0)
        trainer = work(place_decay=0.1)
        kernel = next(v for v in trainer.variables if v.op.name == "fc6/weights")
        fc8 = {v.op.name: v for v in trainer.variables if v.op.name.startswith("fc8/")}
        fill(trainer.session, fc8, lambda name: np.zeros(fc8[name].shape))
        before = trainer.session.run(kernel).reshape(4, 128, 1024)
        feed = {trainer.images: np.zeros((1, 64, 64, 3), np.uint8), trainer.rate: 0.5}
        feed[trainer.targets] = np.eye(200)[:1]
        trainer.session.run(trainer.step, feed)
        after = trainer.session.run(kernel).reshape(4, 128, 1024)
        mean = before.mean(axis=0)
        # Nesterov's first step is 1 + momentum times the rate.
        np.testing.assert_allclose(after, mean + (1 - 0.5 * 0.1 * 1.9) * (before - mean), atol=1e-6)
        assert np.abs(before - mean).max() > 0.01

    def test_decay_between_places_of_a_network_that_has_none(self):
        with pytest.raises(ValueError, match="--place-decay 0.1 is for a network with fc6"):
            Trainer("resnet_v1_50_tiny", {}, weight_decay=5e-4, place_decay=0.1)

    def test_hidden_places_of_a_network_that_has_none(self):
        with pytest.raises(ValueError, match="--hidden 0.9 is for a network with fc6"):
            Trainer("resnet_v1_50_tiny", {}, weight_decay=5e-4, hidden=0.9)

    def test_less_and_less_is_hidden(self, tmp_path, monkeypatch):
        """Of what fc6 is to see of ever the same picture in six steps, by the loss: the same once nothing is hidden."""
        trainer = Trainer("vgg16_tiny", {"pool5_size": 4}, weight_decay=0.0, hidden=0.9)
        rng, schedule = np.random.default_rng(0), Schedule(((64, 6),), peak=0.0)
        examples = np.repeat(rng.integers(0, 256, (1, 64, 64, 3), np.uint8), BATCH, axis=0), np.eye(200)[[3] * BATCH]
        losses, learn = [], trainer._learn

        def learnt(images, targets, now):
            losses.append((now[trainer.hidden_now], learn(images, targets, now)))
            return losses[-1][1]

        monkeypatch.setattr(trainer, "_learn", learnt)
        for _ in range(6):
            trainer.epoch(BATCH, lambda rows, share, rng: examples, schedule, tmp_path)
        assert [share for share, _ in losses] == pytest.approx([0.9, 0.9, 0.9, 0.9, 0.9, 0.45])
        # What a user's network makes of the picture is what nothing is hidden of.
        seen = learn(*examples, {trainer.rate: 0.0, trainer.hidden_now: 0.0})
        logits = trainer.predict(examples[0][:1])[0].astype(float)
        assert seen == pytest.approx(np.logaddexp.reduce(logits) - logits[3], rel=1e-4)
        assert all(abs(loss - seen) > 1e-3 for _, loss in losses)

    @pytest.mark.parametrize("asked", [True, False])
    def test_mixed_precision_is_for_who_asks(self, asked):
        found = configuration(asked).graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16
        assert (found == rewriter_config_pb2.RewriterConfig.ON) == asked
