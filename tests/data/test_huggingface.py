import datasets
import pytest

from ravine.data import load
from ravine.errors import DataError

README = """---
configs:
- config_name: one
  data_files: [{split: train, path: one.csv}]
- config_name: two
  data_files: [{split: train, path: two.csv}, {split: test, path: test.csv}, {split: extra, path: one.csv}]
---
"""


@pytest.fixture
def repository(write, frame, tmp_path):
    """A data set as the hub would hold it, in a folder."""
    write(README, "repo/README.md")
    write(frame.head(40), "repo/one.csv")
    write(frame, "repo/two.csv")
    write(frame.head(9), "repo/test.csv")
    return f"hf:{tmp_path / 'repo'}"


def test_a_configuration_is_named_after_a_slash(repository):
    data = load(f"{repository}/two", target="y")
    assert len(data.train) + len(data.validation) == 60
    assert len(data.test) == 9
    assert "splits not used: extra" in data.notes


def test_a_missing_configuration_is_answered_with_those_there_are(repository):
    with pytest.raises(DataError, match="'one', 'two'"):
        load(repository, target="y")
    with pytest.raises(DataError, match="'three' not found"):
        load(f"{repository}/three", target="y")


def test_a_table_from_the_hub_needs_a_target(repository):
    with pytest.raises(DataError, match="--target NAME, with NAME one of: size, count, colour, y"):
        load(f"{repository}/one")


def test_images_from_the_hub_are_images(image_parquet, encoded, tmp_path):
    image_parquet([encoded(i) for i in range(30)], [0, 1] * 15, file="pictures/train.parquet")
    assert load(f"hf:{tmp_path / 'pictures'}").input_shape == (1, 4, 5)


@pytest.mark.parametrize("name", ["no-such-set", "nobody/no-such-set", "nobody/no-such-set/part"])
def test_a_name_out_of_reach_is_one_line(name):
    with pytest.raises(DataError, match=f"^hf:{name} cannot be reached .*check the name and the network[^\n]*$"):
        load(f"hf:{name}")


def test_a_name_is_needed():
    with pytest.raises(DataError, match="write hf:NAME"):
        load("hf:")


def test_progress_bars_are_hidden_and_come_back(image_parquet, encoded, capfd):
    datasets.enable_progress_bars()
    load(image_parquet([encoded(i) for i in range(30)], [0, 1] * 15))
    assert capfd.readouterr().err == ""
    assert not datasets.are_progress_bars_disabled()


def test_nothing_is_left_beside_the_data(image_folder, own_cache):
    folder = image_folder()
    before = sorted(folder.parent.rglob("*"))
    load(str(folder))
    assert sorted(folder.parent.rglob("*")) == before
    assert any(own_cache.iterdir())
