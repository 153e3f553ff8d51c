"""ray-project/ray: restoring an experiment of Tune."""

from __future__ import annotations

import json

from .conftest import Stopped
from .reports import report

RAY = "ray-project/ray"


@report(
    RAY,
    30838,
    "Tuner.restore goes on with the default scheduler: nothing is stopped early any more, whatever was asked for.",
    ravine="A resumed search halves at the same rungs, and drops the trials that it would have dropped, for the same reasons.",
)
def test_30838_a_resumed_search_halves_as_one_that_never_stopped(stopped: Stopped) -> None:
    def ends(folder: object) -> list[tuple[int, str, str | None]]:
        found = stopped.trials(folder)  # type: ignore[arg-type]
        return [(t.number, t.state.name, t.user_attrs.get("reason")) for t in found]

    assert ends(stopped.resumed) == ends(stopped.whole)
    later = [t for t in stopped.trials(stopped.resumed) if t.number not in {a.number for a in stopped.at_stop}]
    assert [t for t in later if len(t.intermediate_values) > 1]  # rungs that were reached after the stop alone
    dropped_later = {t.number for t in stopped.at_stop} & {
        number for number, state, _ in ends(stopped.resumed) if state == "PRUNED"
    }
    assert dropped_later


@report(
    RAY,
    30861,
    "Tuner.restore goes on with the default searcher, and with those trials alone that had their parameters already.",
    ravine="A resumed search asks the same sampler for all the trials that are still to come.",
)
def test_30861_a_resumed_search_asks_its_own_sampler_for_the_trials_to_come(stopped: Stopped) -> None:
    asked = json.loads((stopped.resumed / "config.json").read_text())["request"]
    assert "sobol" in json.dumps(asked)
    seen = len(stopped.at_stop)
    resumed, whole = stopped.trials(stopped.resumed), stopped.trials(stopped.whole)
    assert len(resumed) > seen
    assert [t.params for t in resumed[seen:]] == [t.params for t in whole[seen:]]
