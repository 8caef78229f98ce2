"""The training store: episodes in columns on disk, and batches drawn from them."""

from robolearn.data.store.manifest import EpisodeRow, Query
from robolearn.data.store.sampling import Mixture, TransitionBatch, Transitions
from robolearn.data.store.store import Store

__all__ = ["EpisodeRow", "Mixture", "Query", "Store", "TransitionBatch", "Transitions"]
