"""hyperopt/hyperopt: a search that is called again for more."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravine.search import Log, Study, Uniform

from .reports import report


@report(
    "hyperopt/hyperopt",
    809,
    "fmin called again for more evaluations begins its sequence of seeds anew: 5 and then 10 are not the 10 of one call.",
    ravine="Trial k has the draws of trial k, in one go or in several.",
)
@pytest.mark.parametrize(("sampler", "first", "count"), [("random", 2, 4), ("tpe", 6, 12)])
def test_809_five_trials_and_five_more_are_the_ten_of_one_search(
    tmp_path: Path, sampler: str, first: int, count: int
) -> None:
    space = {"lr": Log(1e-4, 1.0), "dropout": Uniform(0.0, 0.5)}

    def drawn(folder: Path, stops: tuple[int, ...]) -> list[object]:
        found, begin = [], 0
        folder.mkdir()
        for end in stops:
            study = Study(folder, "classification", 1, ["adamw"], sampler=sampler, resume=begin > 0)
            for number in range(begin, end):
                asked = study.ask("adamw", space, "coarse", number=number)
                study.tell(number, {"accuracy": 0.01 * number, "nll": 1.0}, epochs=1)
                found.append(dict(asked.params))
            study.close()
            begin = end
        return found

    assert drawn(tmp_path / "twice", (first, count)) == drawn(tmp_path / "once", (count,))
