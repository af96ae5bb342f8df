"""What a person asks for: the records that the command line, Python and the pages fill in.

They travel to the worker process as JSON, so paths are strings here.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.images.pictures import PictureFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """Make the files of a kit that need a model to be run.

    Attributes:
        run: Run folder.
        variant: Name of the variant, or of a file from elsewhere.
        pictures: Pictures of the golden set.
        probabilities: Whether the variant's outputs are those of a softmax.
        folder: Where to write them.
    """

    run: str
    variant: str
    pictures: tuple[PictureFile, ...]
    probabilities: bool
    folder: str
