"""The parts world: procedural scenes of workshop parts with captions, of which everything is known exactly."""
from awase.data._parts.distribution import Correlation
from awase.data._parts.vocabulary import DEFECTS, VALUES
from awase.data._parts.world import World
__all__ = ["DEFECTS", "VALUES", "Correlation", "World"]
