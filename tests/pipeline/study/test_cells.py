"""The cells of a study: their gin, their steps, and the mistakes that are refused before anything runs."""

import pathlib

import pytest

from models import settings
from models.settings import configuration
from pipeline.study import cells, runs, study
from pipeline.study.settings import StudySettings
from pipeline.study.training_run import Order
from tests.pipeline.conftest import GIN, ROOT

PAGE = ROOT / "docs" / "studies.md"
BASE = f"include '{GIN}'\nJsonlSource.path = 'pairs.jsonl'\nTraining.steps = 300\n"
USUAL = {
    "loss": {"sigmoid": "Training.objective = @Siglip()", "softmax": "Training.objective = @Softmax()"},
    "batch": {"16": "Training.batch_size = 16", "64": ("Training.batch_size = 64",)},
}


def write(folder: pathlib.Path, *lines: str, axes: dict = USUAL) -> str:
    """Writes a study and its base; returns the path of the study."""
    (folder / "base.gin").write_text(BASE)
    text = ["Study.name = 'one'", "Study.base = ('base.gin',)"]
    text += [f"Study.axes = ({' '.join(f'@{name}/Axis(),' for name in axes)})"]
    for name, points in axes.items():
        text += [f"{name}/Axis.name = '{name}'", f"{name}/Axis.points = {points!r}"]
    path = folder / "study.gin"
    path.write_text("\n".join([*text, *lines]) + "\n")
    return str(path)


def resolve(path: str) -> dict[str, settings.TrainingSettings]:
    """{cell: settings of its training}."""
    (one,) = configuration.load([path], [], [StudySettings])
    return {cell.name: cell.settings.training for cell in cells.resolve(one, str(pathlib.Path(path).parent))}


def test_a_cell_is_one_point_of_each_axis_and_sees_the_same_pairs(tmp_path):
    made = resolve(write(tmp_path, "Study.examples = 3200", "Study.warmup = 0.1"))
    assert list(made) == ["sigmoid, 16", "sigmoid, 64", "softmax, 16", "softmax, 64"]
    assert {name: (one.steps, one.schedule.warmup_steps) for name, one in made.items()} == {
        "sigmoid, 16": (200, 20), "sigmoid, 64": (50, 5), "softmax, 16": (200, 20), "softmax, 64": (50, 5),
    }  # fmt: skip
    assert isinstance(made["softmax, 64"].objective, settings.SoftmaxSettings)


def test_without_examples_the_steps_stay_as_gin_has_them(tmp_path):
    assert {(one.steps, one.schedule.warmup_steps) for one in resolve(write(tmp_path)).values()} == {(300, 100)}


def test_steps_and_warm_up_of_a_point_win_over_examples(tmp_path):
    axes = {"steps": {"own": "Training.steps = 10", "given": (), "warm": "Schedule.warmup_steps = 7"}}
    made = resolve(write(tmp_path, "Study.examples = 25600", axes=axes))  # 128 pairs a batch
    assert {name: (one.steps, one.schedule.warmup_steps) for name, one in made.items()} == {
        "own": (10, 0), "given": (200, 10), "warm": (200, 7),
    }  # fmt: skip


def test_later_axes_win_whether_they_have_files_or_lines(tmp_path):
    (tmp_path / "eight.gin").write_text("Training.shuffle_buffer = 8\n")
    lines, file = {"four": "Training.shuffle_buffer = 4"}, {"eight": "eight.gin"}
    for axes, expected in (({"a": lines, "b": file}, 8), ({"a": file, "b": lines}, 4)):
        (made,) = resolve(write(tmp_path, axes=axes)).values()
        assert made.shuffle_buffer == expected


def test_cells_can_be_left_out(tmp_path):
    assert list(resolve(write(tmp_path, "Study.without = ('softmax, 16',)"))) == [
        "sigmoid, 16", "sigmoid, 64", "softmax, 64",
    ]  # fmt: skip


def test_axes_are_drawn_as_told(tmp_path):
    def drawn(*lines: str, axes: dict = USUAL) -> tuple[str, str]:
        (one,) = configuration.load([write(tmp_path, *lines, axes=axes)], [], [StudySettings])
        return one.drawn

    assert drawn() == ("batch", "loss")
    assert drawn("Study.x = 'loss'") == ("loss", "batch")
    assert drawn("Study.lines = 'batch'") == ("loss", "batch")
    assert drawn(axes={"loss": USUAL["loss"]}) == ("loss", "")


def points(**labels: str) -> dict[str, dict[str, str]]:
    return {"loss": USUAL["loss"], "other": labels}


MANY = "Training.objective = @Siglip()\nSiglip.negatives = @Negatives()\nNegatives.per_positive = 500.0"
PRECOMPUTED = """Training.objective = @Siglit()
Siglit.precomputed = True
Training.pretrained = @Pretrained()
Pretrained.path = 'x'
Pretrained.parts = ('image_tower',)
Training.augmentation = @Augmentation()
Training.corruption = @Corruption()
Corruption.image = 0.5"""


@pytest.mark.parametrize(
    ("lines", "axes", "message"),
    [
        (["Study.compare = (('sigmoid, 16', 'softmax, 65'),)"], USUAL,
         r"Study.compare: the cell is 'softmax, 65', but must be one of .*; did you mean 'softmax, 64'\? correct it"),
        (["Study.without = ('sigmoid 16',)"], USUAL, r"Study.without: the cell is 'sigmoid 16'.*did you mean"),
        (["Study.compare = (('sigmoid, 16', 'sigmoid, 16'),)"], USUAL, r"a pair in Study.compare .* must be different"),
        (["Study.seeds = (0, 1, 0)"], USUAL, r"Study.seeds is \(0, 1, 0\), but must be different; remove or change"),
        (["Study.seeds = ()"], USUAL, "Study.seeds"),
        (["Study.name = 'study_data'"], USUAL, r"Study.name is 'study_data', but must be another name, .*; rename the"),
        (["Study.x = 'bach'"], USUAL, r"Study.x: the axis is 'bach'.*did you mean 'batch'"),
        (["Study.metrics = ('recall',)"], USUAL, r"the metric is 'recall', but must be of the form SET/METRIC"),
        (["Study.metrics = ('test/recall',)"], USUAL, r"'test/recall', but must be SET/ and one of image"),
        (["Study.metrics = ('tset/image_to_text_recall_at_5',)"], USUAL,
         r"cell 'sigmoid, 16': Study.metrics: the set is 'tset', but must be one of log, test, eval"),
        (["Study.examples = 10"], USUAL,
         r"cell 'sigmoid, 16': Study.examples is 10, but must be at least Training.batch_size \(16\)"),
        (["Study.confidence = 90.0"], USUAL, "Study.confidence is 90.0, but must be above 0 and below 1"),
        ([], {"a": {"x": (), "x, y": ()}, "b": {"y, z": (), "z": ()}},
         r"the names of the cells .* must be different"),
        ([], {"a": {"1.0": (), "1 0": (), "1_0": ()}}, r"the cells '1 0' and '1_0' would share the folder '1_0'"),
        ([], points(b0="Siglip.logit_bias = 0.0"),
         r"cell 'softmax, b0': gin: Siglip.logit_bias is set, but nothing uses it .*"
         r"add Training.objective = @Siglip\(\) \(axis 'other', point 'b0'\)"),
        ([], points(typo="Trainign.steps = 3"), r"(?s)cell 'sigmoid, typo': gin: .*'Trainign'.*Did you mean"),
        ([], points(seed="Training.seed = 3"),
         r"cell 'sigmoid, seed': Training.seed is 3, but must be unbound in points; .*\(axis 'other', point 'seed'\)"),
        ([], points(broken="Training.steps = = 3"),
         r"cell 'sigmoid, broken': gin: (?s:.*)line 1(?s:.*)\(axis 'other', point 'broken'\)"),
        ([], points(many=MANY),
         r"(?s)cell 'sigmoid, many': .*Negatives.per_positive is 500.0, but must be .*\(axis 'other', point 'many'\)"),
        ([], points(share="Training.corruption = @Corruption()\nCorruption.text = 1.5"),
         r"(?s)cell 'sigmoid, share': .*Corruption.text is 1.5, but must be in .*\(axis 'other', point 'share'\)"),
        ([], points(pictures=PRECOMPUTED),
         r"(?s)cell 'sigmoid, pictures': .*Corruption.image is 0.5, but must be 0.*'other', point 'pictures'\)"),
        ([], points(range="AdamW.beta_2 = 1.5"), r"cell 'sigmoid, range': gin: AdamW.beta_2 is 1.5"),
        ([], points(file="no.gin"), r"axis 'other', point 'file': 'no.gin' is neither a file in .* correct its path"),
        ([], points(warm="Pipeline.warm_start = True"), r"Pipeline.warm_start is True, but must be False in a study"),
        (["Study.base = ('bse.gin',)"], USUAL, r"Study.base: 'bse.gin' is neither a file in"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_before_anything_runs(tmp_path, lines, axes, message):
    path = write(tmp_path, *lines, axes=axes)
    with pytest.raises(ValueError, match=message):
        study.run([path], [], study.Options(str(tmp_path / "output")))
    assert not (tmp_path / "output").exists()


def test_what_no_cell_uses_is_refused_in_the_file_of_a_point_too(tmp_path):
    (tmp_path / "b0.gin").write_text("Siglip.logit_bias = 0.0\n")
    path = write(tmp_path, axes=points(b0="b0.gin"))
    message = r"cell 'softmax, b0': gin: Siglip.logit_bias is set, but nothing uses it .*\(axis 'other', point 'b0'\)"
    with pytest.raises(configuration.ConfigurationError, match=message):
        resolve(path)
    (tmp_path / "base.gin").write_text(f"{BASE}Siglip.logit_bias = 0.0\n")  # control: the base may serve both losses
    assert len(resolve(write(tmp_path))) == 4


def test_the_example_of_the_page_on_studies_resolves(tmp_path):
    (example,) = (block for block in PAGE.read_text().split("```gin\n")[1:] if "Study.name" in block)
    (tmp_path / "study.gin").write_text(example.split("```")[0])
    (one,) = configuration.load([str(tmp_path / "study.gin")], [], [StudySettings])
    made = cells.resolve(one, str(ROOT / "gin" / "study"))
    assert [cell.name for cell in made] == ["sigmoid, 16", "sigmoid, 64", "softmax, 64"]


def test_a_label_that_occurs_twice_is_refused(tmp_path):
    path = pathlib.Path(write(tmp_path))
    path.write_text(path.read_text().replace("'softmax':", "'sigmoid':"))
    with pytest.raises(configuration.ConfigurationError, match=r"study.gin, line 5: the key 'sigmoid' occurs twice"):
        resolve(str(path))


def test_a_dry_run_prints_cells_runs_and_steps_and_writes_nothing(tmp_path, capsys):
    path = write(tmp_path, "Study.examples = 3200")
    assert study.run([path], [], study.Options(str(tmp_path / "output"), only="16", dry_run=True))
    printed = capsys.readouterr().out
    assert "2 cells, 6 runs (seeds (0, 1, 2)):" in printed
    assert "  softmax, 16: 200 steps of 16 pairs, 3,200 pairs a run" in printed
    assert "# Cell 'sigmoid, 16'\n" in printed
    assert "Training.batch_size = 16\n" in printed
    assert "sigmoid, 64" not in printed
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("only", "message"), [("32", "--only=32 matches none"), ("(", "no regular expre")])
def test_only_must_match_a_cell(tmp_path, only, message):
    with pytest.raises(ValueError, match=message):
        study.run([write(tmp_path)], [], study.Options(str(tmp_path / "output"), only=only, dry_run=True))


@pytest.mark.parametrize("path", sorted((ROOT / "gin" / "study").glob("*.gin")), ids=lambda path: path.stem)
def test_our_studies_resolve(path):
    (one,) = configuration.load([str(path)], [], [StudySettings])
    assert one.name == path.stem
    assert cells.base(one, str(path.parent))
    assert len(cells.resolve(one, str(path.parent))) == len(one.cells) >= 2


def test_a_result_depends_on_what_its_log_holds(tmp_path):
    plain = dict.fromkeys(("identity", "gin", "vocabulary", "codebook", "held_out", "weights"), "")
    (tmp_path / "shard").touch()
    sets = {"eval": str(tmp_path)}
    order = Order(**plain, train=[], evaluated=sets, not_retrieved=[], label_sets={}, test_rows=8, keeps_model=False)

    def identity(**logging) -> str:
        return runs._identity(order, "weights", settings.TrainingSettings(logging=settings.LoggingSettings(**logging)))

    assert identity(every=3) == identity()
    assert len({identity(), identity(held_out_rows=9), identity(held_out_every=0), identity(false_negatives=True)}) == 4
