"""What a manifest says of a tokenizer, typed, with ranges, before anything is allocated; a family gives its own."""

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict

from mainstem.core.tokens import OpenTokenizer


class TokenizerFacts(BaseModel, ABC):
    """What `OpenTokenizer.facts` gave; the width is the trunk's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def num_weights(self, dim: int) -> int:
        """A lower bound of its weights."""

    @abstractmethod
    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it, its weights yet to be loaded."""
