"""`kit export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell, Output
    from kit.competition import Competition
    from kit.export.journal import Published
    from kit.export.names import Names
    from kit.export.ready import Exported
    from kit.providers.base import Provider
    from kit.providers.publishing import Publisher


# The options, in the order of the help text.
Name = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run of kit fit, or one made with kit cv --keep-models."),
]
To = Annotated[str, typer.Option("--to", metavar="WHERE", help="Who runs it: kaggle.")]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="USER/SLUG", help="Your Kaggle name, and the dataset's slug."),
]
OutFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Where to write. Default: exports/RUN."),
]
Slug = Annotated[
    str | None,
    typer.Option("--competition", metavar="SLUG", help="On Kaggle. Default: that of kit.toml."),
]
File = Annotated[
    str | None,
    typer.Option(
        "--file",
        metavar="NAME",
        help="The submission file that is demanded. Default: provider.file, or submission.csv.",
    ),
]
HiddenRows = Annotated[
    int | None,
    typer.Option("--hidden-rows", help="Rows of the hidden test file, to tell the time."),
]
Hours = Annotated[float, typer.Option(help="How long the notebook may run.")]
Image = Annotated[
    Path | None, typer.Option("--image", metavar="FILE", help="What pip freeze prints on Kaggle.")
]
Wheels = Annotated[
    Path | None,
    typer.Option("--wheels", metavar="FOLDER", help="Take wheels from here, not the index."),
]
Python = Annotated[
    str | None, typer.Option("--python", metavar="3.X", help="Python on Kaggle. Default: as here.")
]
Gpu = Annotated[bool, typer.Option("--gpu", help="Ask for a GPU.")]
Proof = Annotated[
    bool, typer.Option("--proof/--no-proof", help="Try it in a clean environment first.")
]
DoPush = Annotated[
    bool, typer.Option("--push", help="Upload, run on Kaggle, check what comes out.")
]
Submit = Annotated[bool, typer.Option("--submit", help="With --push: submit that version then.")]
Again = Annotated[
    bool, typer.Option("--again", help="With --submit: although the run was submitted before.")
]
Wait = Annotated[bool, typer.Option("--wait", help="With --submit: wait for the score.")]
Message = Annotated[str, typer.Option("-m", "--message", help="Description.")]


def export(
    name: Name,
    to: To = "kaggle",
    id_: Id = None,
    out_folder: OutFolder = None,
    slug: Slug = None,
    file: File = None,
    hidden_rows: HiddenRows = None,
    hours: Hours = 9.0,
    image: Image = None,
    wheels: Wheels = None,
    python: Python = None,
    gpu: Gpu = False,
    proof: Proof = True,
    push: DoPush = False,
    submit: Submit = False,
    again: Again = False,
    wait: Wait = False,
    message: Message = "",
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a dataset and a kernel of a run, for a code competition without internet.

    The bundle is tried here first, without network and in a clean environment; what it predicts
    must be what the run predicted.
    """
    from kit.cli.ledger import before_submit
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.export.publishing import Push
    from kit.export.ready import Wishes, alone
    from kit.export.ready import export as make
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    _refuse_combinations(to, push=push, submit=submit, again=again, wait=wait)
    competition = Competition.find(directory, set_ or [])
    names = _names(competition, id_, slug, file, push=push)
    provider = _provider(competition, names) if push else None
    publisher = _publisher(provider, names, out) if provider else None
    wishes = Wishes(
        names=names, out=out_folder, proof=proof, hidden_rows=hidden_rows, hours=hours,
        image=image, wheels=wheels, python=python, gpu=gpu,
    )  # fmt: skip
    run = find_run(competition.runs, name)
    with alone(competition, run, wishes):
        made = make(competition, run, wishes, out.remark)
        _show(made, out)
        if provider is None or publisher is None or not made.ready:
            _made(made, name, out)
            return
        if submit:
            before_submit(competition, run, out)
        going = Push(competition, made, publisher, hours=hours, tell=out.remark)
        done = going.run(submit=submit, message=message, again=again)
    _published(_scored(competition, provider, done, out) if wait else done, made, name, out)


def _refuse_combinations(to: str, *, push: bool, submit: bool, again: bool, wait: bool) -> None:
    from kit.errors import ConfigError

    if to != "kaggle":
        raise ConfigError(f"--to must be kaggle. Received: {to!r}")
    if submit and not push:
        raise ConfigError("--submit needs --push: what is submitted must have run on Kaggle")
    if again and not submit:
        raise ConfigError("--again needs --submit: it says that a run may be submitted once more")
    if wait and not submit:
        raise ConfigError("--wait needs --submit: what is waited for is the score")


def _names(
    competition: Competition, id_: str | None, slug: str | None, file: str | None, *, push: bool
) -> Names:
    """Who and what it is called on Kaggle."""
    from kit.errors import ConfigError
    from kit.export.names import names_of

    source = competition.settings.provider
    known = source.source if source.name == "kaggle" else ""  # elsewhere it is a path
    wanted = file or source.file or "submission.csv"
    names = names_of(competition.slug, id_, slug or known or None, wanted)
    if push and not names.complete:
        raise ConfigError("--push needs --id USER/SLUG, with your name on Kaggle")
    return names


def _provider(competition: Competition, names: Names) -> Provider:
    """Kaggle, whatever the competition's own provider is."""
    from kit.providers.base import load_provider

    spec = replace(competition.settings.provider, name="kaggle", source=names.competition)
    return load_provider(names.competition, spec, competition.root)


def _publisher(provider: Provider, names: Names, out: Output) -> Publisher:
    """Who pushes; Kaggle is asked first whether it would take a submission at all."""
    from kit.errors import ProviderError
    from kit.providers.publishing import Publishes

    if not isinstance(provider, Publishes):
        raise ProviderError(
            "this version of kit's Kaggle provider cannot upload datasets and kernels.\n  Export "
            "without --push; then `kaggle datasets create -p FOLDER/dataset -r zip` and, when "
            "that is ready, `kaggle kernels push -p FOLDER/kernel`."
        )
    publisher = provider.publisher()
    with out.notes(provider):  # what is refused is better refused before the bundle is made
        publisher.limits()
        account = publisher.account()
    if account and account.casefold() != names.user.casefold():
        out.remark(
            f"kit: --id names {names.user!r}, and the credentials are those of {account!r}; Kaggle "
            "refuses that unless the account may write there"
        )
    return publisher


def _scored(
    competition: Competition, provider: Provider, done: Published, out: Output
) -> Published:
    """The submission with its score, which takes Kaggle as long as the hidden rows do."""
    from kit.cli.submit import waited
    from kit.submission.receipts import read_receipts

    sent = done.submitted
    if sent is None:
        return done
    for receipt in read_receipts(competition.submissions)[0]:
        if receipt.ref == sent.ref:
            with out.notes(provider):
                found = waited(competition, provider, receipt, out)
            scored = replace(
                sent, status=found.status, public=found.public, private=found.private,
                error=found.error,
            )  # fmt: skip
            return replace(done, submitted=scored)
    out.remark("kit: the receipt of that submission is gone; `kit ledger` shows its score")
    return done


def _show(made: Exported, out: Output) -> None:
    from kit.cli.output import size
    from kit.export.wheels import count

    proof, names = made.proof, made.bundle.names
    rows: list[list[Cell]] = [
        ["folder", str(made.bundle.folder)],
        ["dataset", f"{names.dataset} ({size(made.bytes)})"],
        ["kernel", names.kernel],
        ["writes", names.file],
    ]
    if made.wheels is not None:
        rows.append(["wheels", count(made.wheels.files, "package")])
    if proof is not None:
        same = (
            f"the run's own to the last bit ({proof.rows} rows)"
            if proof.identical
            else f"the run's own within {proof.difference:.2g} ({proof.allowed:.2g} allowed)"
        )
        if proof.labels:
            same += f"; {proof.labels} labels on the edge differ"
        rows += [["predicts", same], ["network", proof.network]]
        pace = f"{1e6 * proof.row_seconds:.0f} s per million rows"
        rows.append(["took", f"{proof.seconds:.1f} s; {pace}"])
    if made.hours is not None:
        rows.append(["hidden rows", f"{made.hours:.2f} h on this machine"])
    out.table(["", ""], rows)
    for note in made.notes:
        out.say(f"note: {note}")


def _made(made: Exported, name: str, out: Output) -> None:
    """The end, where nothing is pushed: what is missing, or the next step."""
    out.document(made.to_json())
    if not made.ready:
        for sentence in made.missing:
            out.problem(f"not ready: {sentence}")
        raise typer.Exit(1)
    out.say("\nReady to be pushed.")
    if made.bundle.names.complete:
        out.next(f"kit export {name} --id {made.bundle.names.dataset} --push")
    else:
        out.next(f"kit export {name} --id USER/{made.bundle.names.slug} --push")


def _published(done: Published, made: Exported, name: str, out: Output) -> None:
    from kit.cli.output import score_format

    names, sent = made.bundle.names, done.submitted
    out.document(
        {
            **made.to_json(),
            "dataset_version": done.dataset_version,
            "kernel_version": done.kernel_version,
            "output": str(done.output) if done.output else None,
            "submission": None
            if sent is None
            else {
                "ref": sent.ref,
                "status": sent.status,
                "public": sent.public,
                "private": sent.private,
            },
        }
    )
    out.say(f"\n{names.kernel}, version {done.kernel_version}: its output is the proof's.")
    if sent is None:
        out.next(f"kit export {name} --id {names.dataset} --push --submit --wait")
        return
    late = " (late: scored, not ranked)" if sent.late else ""
    out.say(f"submission {sent.ref}: {sent.status}{f': {sent.error}' if sent.error else ''}{late}")
    for board, score in (("public", sent.public), ("private", sent.private)):
        if score is not None:
            out.say(f"{board} score: {score_format(score)}")
    if sent.status == "error":
        raise typer.Exit(3)
    out.next("kit ledger")
