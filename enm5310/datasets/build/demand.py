"""Restaurant demand: two csv files in the source archive of ddop."""

import csv

import numpy as np

from .sources import members, pip_download

WHAT, COMPRESS, TOLERANCE = "the source archive of ddop 0.7.6", True, {}
ARCHIVE = "ddop-0.7.6.tar.gz"
ARCHIVE_SHA256 = "def7756324fae64e64f9318b195c1daa7c4141611543a16ba744daf3993a5da2"
SHA256 = {
    "yaz_data.csv": "fc857e32e4338817a7c184d157cd884f63866347d2efc02dd96c8cd2877d75d9",
    "yaz_target.csv": "961f9202379aacb941ccc480a9ca33d56682646518a70a78e6bdf361e306b657",
}
WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def download(folder):
    """The archive; pip runs its setup.py only as far as the package's name and version."""
    return pip_download("ddop==0.7.6", ARCHIVE, ARCHIVE_SHA256, folder, "--no-binary=:all:")


def build(path):
    """{file name: arrays}: days, what they were like (words as numbers), portions."""
    source = members(path, {name: f"ddop/datasets/data/{name}" for name in SHA256}, SHA256)
    (_, *names), *days = csv.reader(source["yaz_data.csv"].decode().splitlines())
    dishes, *portions = csv.reader(source["yaz_target.csv"].decode().splitlines())
    rows = [[WEEKDAYS.index(day[1]), MONTHS.index(day[2]) + 1, *map(float, day[3:])] for day in days]
    arrays = {
        "dates": np.array([day[0] for day in days], dtype="<M8[D]"),
        "data": np.array(rows, dtype="<f8"),
        "target": np.array(portions, dtype="<i2"),
        "feature_names": np.array(names).astype("<U11"),
        "target_names": np.array(dishes).astype("<U8"),
    }
    return {"demand.npz": arrays}
