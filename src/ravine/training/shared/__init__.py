"""One setting trained by several processes together, each on its part of every batch: torchrun and Lightning Fabric."""

from ravine.training.shared.run import SharedRun
from ravine.training.shared.saver import SharedSaver
from ravine.training.shared.sharing import Sharing
from ravine.training.shared.team import Team, join

__all__ = ["SharedRun", "SharedSaver", "Sharing", "Team", "join"]
