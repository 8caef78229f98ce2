"""The training store: episodes in columns on disk, and batches drawn from them."""

from robolearn.data.store.batches import SequenceBatch, TransitionBatch
from robolearn.data.store.manifest import EpisodeRow, Query
from robolearn.data.store.sampling import Mixture, Transitions
from robolearn.data.store.store import Store

__all__ = ["EpisodeRow", "Mixture", "Query", "SequenceBatch", "Store", "TransitionBatch", "Transitions"]
