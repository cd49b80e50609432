"""What a user may write about how hard problems are for the base model, and which of them are kept. No I/O."""

from __future__ import annotations

from fractions import Fraction

from pydantic import ConfigDict, Field, model_validator

from deepcoder_api.specification import PartName, Specification


class Difficulty(Specification):
    """The offline difficulty filter: the base model answers each problem before the run, some of which are kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-rules": [
                {
                    "rule": "has(self.keepAbove) || has(self.keepBelow)",
                    "message": "keepAbove, keepBelow or both must be given: else nothing would be dropped",
                },
                {
                    "rule": "!has(self.keepAbove) || !has(self.keepBelow) || self.keepAbove < self.keepBelow",
                    "fieldPath": ".keepBelow",
                    "message": "must be more than keepAbove",
                },
            ]
        }
    )

    samples_per_prompt: int = Field(
        ge=1, le=1024, description="Answers of the base model to each problem, sampled as in training."
    )
    keep_above: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="A problem is kept only if more than this share of its answers is accepted. 0 drops those that no "
        "answer solves.",
    )
    keep_below: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="A problem is kept only if less than this share of its answers is accepted. 1 drops those that "
        "every answer solves.",
    )
    sources: list[PartName] = Field(
        default_factory=list[PartName],
        max_length=32,
        description="Names of the data.sources whose problems are rated; all when empty.",
    )

    @model_validator(mode="after")
    def _something_is_dropped_and_something_kept(self) -> Difficulty:
        if self.keep_above is None and self.keep_below is None:
            raise ValueError("keepAbove, keepBelow or both must be given: else nothing would be dropped")
        if not any(self.keeps(accepted) for accepted in range(self.samples_per_prompt + 1)):
            raise ValueError(
                f"keepBelow: no share of {self.samples_per_prompt} answers is above {self.keep_above} (keepAbove) and "
                f"below {self.keep_below} (keepBelow), both exclusive: every problem would be dropped"
            )
        repeated = sorted({name for name in self.sources if self.sources.count(name) > 1})
        if repeated:
            raise ValueError(f"sources: {repeated[0]!r} is given twice")
        return self

    def rates(self, source: str) -> bool:
        """Whether problems of that source are rated."""
        return not self.sources or source in self.sources

    def too_hard(self, accepted: int) -> bool:
        """Whether a problem with so many accepted answers is dropped for being too hard."""
        return self.keep_above is not None and self._share(accepted) <= _exact(self.keep_above)

    def too_easy(self, accepted: int) -> bool:
        """Whether a problem with so many accepted answers is dropped for being too easy."""
        return self.keep_below is not None and self._share(accepted) >= _exact(self.keep_below)

    def keeps(self, accepted: int) -> bool:
        """Whether a problem with so many accepted answers is kept."""
        return not self.too_hard(accepted) and not self.too_easy(accepted)

    def _share(self, accepted: int) -> Fraction:
        return Fraction(accepted, self.samples_per_prompt)


def _exact(bound: float) -> Fraction:
    """The decimal that was written: 0.7 is 7 of 10, which its binary value is not."""
    return Fraction(repr(bound))
