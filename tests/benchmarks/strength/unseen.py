"""More data sets for the benchmark, of R packages: tables and texts that kit was not made with.

They are read by R, as Debian packages it; nothing is downloaded while it runs:

    apt-get install r-base-core r-cran-{modeldata,mlbench,kernlab,caret,dslabs,janeaustenr}
    DATA_ENV/bin/python tests/benchmarks/strength/unseen.py FOLDER [--seeds 0 1 2]

The environment and what is written are those of `bundled.py`; `run.py` finds both in one FOLDER.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from bundled import Bundled, write

_SENTENCES = 12_000
_SHORTEST = 40  # characters of a sentence


_R = """
library({package})
items <- data(package = "{package}")$results[, "Item"]
data(list = sub(".*[(](.*)[)]", "\\\\1", items), package = "{package}")
write.csv({expression}, "{path}", row.names = FALSE, na = "", fileEncoding = "UTF-8")
"""


def shipped_by_r(package: str, expression: str) -> pd.DataFrame:
    """What an expression of R is with a package attached and its data sets loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        code = _R.format(package=package, expression=expression, path=path)
        subprocess.run(["Rscript", "-e", code], check=True, capture_output=True)
        return pd.read_csv(path).copy()  # in one piece


def two_classes(package: str, expression: str, target: str, positive: str) -> pd.DataFrame:
    """A table whose target becomes 0 and 1."""
    table = shipped_by_r(package, expression).dropna(subset=target)
    return table.assign(**{target: (table[target].astype(str) == positive).astype(int)})


def fine_foods() -> pd.DataFrame:
    return two_classes("modeldata", "rbind(training_data, testing_data)", "score", "great")


def grants() -> pd.DataFrame:
    """Grants of 2005 to 2008: 1,500 columns, mostly 0 or 1."""
    return two_classes("modeldata", "rbind(grants_other, grants_2008)", "class", "successful")


def tweets() -> pd.DataFrame:
    """Two telephones: who wrote with them differed. `source` decides, numbers of retweets help."""
    table = shipped_by_r("dslabs", "trump_tweets")
    table = table[table["source"].isin(["Twitter for iPhone", "Twitter for Android"])]
    table = table.drop(columns=["id_str", "in_reply_to_user_id_str"])
    return table.assign(source=(table["source"] == "Twitter for iPhone").astype(int))


def austen() -> pd.DataFrame:
    """Which of six novels a sentence is of."""
    lines = shipped_by_r("janeaustenr", "austen_books()")
    parts = []
    for book, group in lines.groupby("book", sort=True):
        text = " ".join(group["text"].dropna().astype(str))
        sentences = pd.Series(text.replace("?", ".").replace("!", ".").split("."))
        sentences = sentences.str.strip()
        parts.append(pd.DataFrame({"text": sentences[sentences.str.len() >= _SHORTEST]}))
        parts[-1]["book"] = str(book).split()[0].lower()
    return pd.concat(parts).sample(_SENTENCES, random_state=0).reset_index(drop=True)


def tecator() -> pd.DataFrame:
    """Fat of meat by its spectrum."""
    return shipped_by_r("modeldata", "meats").drop(columns=["water", "protein"])


def tate() -> pd.DataFrame:
    """When a work of art was made, by its artist and title."""
    return shipped_by_r("modeldata", "tate_text").drop(columns="id").dropna(subset="year")


def table(package: str, expression: str, target: str) -> Callable[[], pd.DataFrame]:
    """A data set as it is, without rows that lack the target."""
    return lambda: shipped_by_r(package, expression).dropna(subset=target)


def classes(
    package: str, expression: str, target: str, positive: str
) -> Callable[[], pd.DataFrame]:
    """The same, of two classes."""
    return lambda: two_classes(package, expression, target, positive)


DATA = {
    "tecator": Bundled(tecator, "fat", "rmse", 0.4),
    "soybean": Bundled(table("mlbench", "Soybean", "Class"), "Class", "mlogloss", 0.4),
    "pd-speech": Bundled(classes("modeldata", "pd_speech", "class", "PD"), "class", "auc", 0.4),
    "sacramento": Bundled(table("modeldata", "Sacramento", "price"), "price", "rmsle", 0.4),
    "german-credit": Bundled(classes("caret", "GermanCredit", "Class", "Bad"), "Class", "auc", 0.4),
    "tate": Bundled(tate, "year", "rmse", 0.4),
    "credit-data": Bundled(
        classes("modeldata", "credit_data", "Status", "bad"), "Status", "auc", 0.4
    ),
    "spam": Bundled(classes("kernlab", "spam", "type", "spam"), "type", "logloss", 0.4),
    "fine-foods": Bundled(fine_foods, "score", "auc", 0.4),
    "stackoverflow": Bundled(
        classes("modeldata", "stackoverflow", "Remote", "Remote"), "Remote", "auc", 0.4
    ),
    "satellite": Bundled(table("mlbench", "Satellite", "classes"), "classes", "accuracy", 0.4),
    "telco-churn": Bundled(classes("modeldata", "wa_churn", "churn", "Yes"), "churn", "auc", 0.4),
    "grants": Bundled(grants, "class", "auc", 0.4),
    "income": Bundled(table("kernlab", "income", "INCOME"), "INCOME", "accuracy", 0.4),
    "lending-club": Bundled(
        classes("modeldata", "lending_club", "Class", "bad"), "Class", "logloss", 0.4
    ),
    "austen": Bundled(austen, "book", "mlogloss", 0.4),
    "letters": Bundled(table("mlbench", "LetterRecognition", "lettr"), "lettr", "mlogloss", 0.4),
    "tweets": Bundled(tweets, "source", "auc", 0.4),
    "movielens": Bundled(table("dslabs", "movielens", "rating"), "rating", "rmse", 0.25),
}


def main() -> None:
    """Write all data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tables", nargs="+", default=[*DATA], help="only these")
    options = parser.parse_args()
    for name in options.tables:
        print(write(name, DATA[name], options.folder, options.seeds), flush=True)


if __name__ == "__main__":
    main()
