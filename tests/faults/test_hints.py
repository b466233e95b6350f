"""Hints that work: the error is made, its hint is followed, and the command succeeds.

``CASES`` are commands. Other tests that follow a hint carry ``@pytest.mark.hint(HINT)``. What is
left must stand in ``WORDS``, with the reason why nothing can be executed.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import hints
import pytest
from hint_cases import CASES, DATA, DETECT, PHOTOS, TINY, Case

from recsec.cli.main import main

WORDS: dict[str, list[str]] = {
    "a list of what there is, printed so that nobody has to look it up": [
        "give {}",
        "sources: {}",
        "eps is one of {}",
        "tables: {}",
        "one of {}",
        "at least {}, at most {}",
        "recsec list guards",
        "columns are {}, and time if known",
        "formats: {}; at most {} pixels",
        "keys: {}",
        "recsec data list says which is which",
        "reports are made of: {}",
        "switches: {}",
    ],
    "not followed yet: way to attack or to train what others made; each needs its encoder here": [
        "[visual.surrogate] seed = 2",
        'policy = "cross-category", or a CSV file with item,target',
        "leave size and project out of the grids that attack it",
        "surrogates are checkpoint folders, hf: or torch:",
        "give {}; {}",
        "--attack square --goal lists, or --goal features",
        "--attack square follows lists, --attack transfer searches on surrogates of its own",
        "--attack square, or --attack transfer with surrogates",
        'attacks = ["square"] asks for scores or lists, { attack = "transfer", surrogates = ["hf:FOLDER"] } needs nothing; models = ["NAME"] names those that a grid attacks',  # noqa: E501
        "recsec train MODEL --data NAME --out DIR makes a checkpoint",
        "recsec train encoder --set backbone=hf:FOLDER --set epochs=0 makes a checkpoint of a pretrained network",  # noqa: E501
        "recsec verify keygen --out KEY, then --guard misinform:key=KEY",
    ],
    "it is about machines of a cluster": [
        "give --out a folder on storage that all machines of the cluster share",
        "install the same versions on all machines: constraints.txt names them",
        "lower threads, memory_gb or gpus, or add a node that has them",
        "nothing is lost: the newer attempt does this work",
        "ray start --head on one machine, ray start --address=HOST:6379 on others; "
        "all with the same RAY_AUTH_MODE and RAY_AUTH_TOKEN",
        "run the same command again: finished work stays; give memory_gb if it was for memory",
        "start it in a folder on storage that all machines of the cluster share",
        "start the audit where sbatch works, or kind = 'local'",
    ],
    "it installs a package, which a test does not": [
        'pip install "recsec[onnx]"',
        "{} -m pip install {}",
        "pip install 'recsec[ray]'",
        "pip install 'recsec[slurm]'",
    ],
    "the function or the service that is attacked has to change, which is not ours": [
        "k = {} in [search], and in the form that asks for it",
        "compare size and the way photos become squares (--data FOLDER,fit=squash) with your own upload; the catalogs must be the same",  # noqa: E501
        '[encoder] with source = "onnx:FILE" and what it wants to see',
        "a function that only maps images to vectors is callable:module:function",
        "a map (B, D, H, W) becomes vectors by its mean over H and W",
        "an encoder gives every image a vector of the same width",
        "check --data, size, and the way photos become squares",
        "check auth_env, auth_header and auth_prefix",
        "check its weights, and size, white, mean and std",
        "check size, white, mean and std: photos may arrive all black or all white",
        "switch off dropout and batch statistics: model.eval()",
        "check its weights, and whether it divides by the spread of a plain image",
        "check url, send, field and size: it may not take such an upload",
        "compare size, resize, channels, white, mean and std with your own code, and the way photos become squares (--data FOLDER,fit=squash); the catalogs must be the same",  # noqa: E501
        "each row needs one number per item, in the order of the items",
        "export it again",
        "export the image part alone",
        "export it with a batch axis that may vary",
        "write {history}, {k} and {account} into the request where they belong, or start from examples/target-sessions.toml",  # noqa: E501
        "it describes one API: --model {}",
        "scores is a JSONPath to one number per id: $.items[*].score",
        "name other scores, or none: the list alone is followed then",
        "leave out the one that the API does not need",
        "leave out what the request does not need, or copy examples/target.toml",
        "write that text between plain quotes",
        "give that command alone",
        "write its content in place of @file",
        "save the description as a file, or add --i-am-authorised",
        "save the description as JSON",
        "--path is one of {}",
        "--path http://HOST{} says it",
        "give its example in the description, or write the file as examples/target.toml",
        "give --curl COMMAND, or --openapi FILE and --path",
        "give --out another name",
        "give --curl 'curl https://...', or the path of a file with such a command",
        "name its inputs in a file with [onnx]: history, lengths, mask; fix others when it is exported",  # noqa: E501
        "name the output with the scores in a file with [onnx]: scores = ...",
        "name the output with the scores in a file with [onnx]: scores = ...; export it with a batch axis that may vary",  # noqa: E501
        "say length, side and pad in a file with [onnx]; export it with a batch axis that may vary",
        "say length in the file with [onnx], or leave out side",
        "a file with [onnx] says it: items = a table item,number, first = the number in column 0",
        "leave such items out by --filters, or name the data that it was trained on",
        "pad in the file with [onnx] says which number fills",
        "give torch:module:factory, a function of yours that loads and returns it",
        "it takes many images at once and gives an array (B, D) of numbers",
        "it uses operators that onnxruntime does not have; serve it by callable:module:function",
        "its ids must be those of --data",
        "name the output with the vectors in a file: output = ...",
        "one number per item, in the order of the items that it is given",
        "put the data file beside it and export again, or save all in one file",
        "response is a JSONPath to each id: $.items[*].id",
        "response is a JSONPath to the list, or to each id: $.items[*].id",
        "say size and layout in a file",
        "say what it wants to see in a file: size, channels, white, mean, std, layout",
        "weights alone are no network: give torch:module:factory",
        "wrap it in a module whose forward returns the vectors",
        "if it came from a file, leave out the line end and all that is not ASCII",
        "if such answers are right, raise max_bytes",
        "if that address is right and yours to audit, name it as the url",
        'if the service takes it, ask with method = "POST"',
        "it is called with many histories at once and answers one list for each",
        "its ids must be those of the data set that the audit names",
        "its own words, if any, are above; the same command continues",
        "leave the items of the history out of the answer",
        "let it answer without compression",
        "let it respect k, or ask for the length that it always gives",
        "let it return, or raise an error",
        "map its items to yours first, for instance in a callable target",
        'put what runs on its own under: if __name__ == "__main__":',
        "remove the cause; the same command continues where this one stopped",
        "repair or uninstall the package that registers it",
        "run recsec in the folder of the module, or install its package",
        "run the same command with --debug: it shows which code did",
        "set {} to the JSONPath of the {}",
        "set response of token to the JSONPath of the token",
        "let it travel in request or url",
        "keep questions apart: name the user by {session}, or remove the events of a question in a "
        "step after it; switch off A/B tests and caches that expire",
        "switch off randomness, A/B tests and caches that expire, then try again",
        "check that the request carries the history, oldest item first",
        "check that it knows the ids of --data, and answers users whom it has never seen",
        "{} recorded: run the same command again later",
        "{} recorded: run the same command again to continue",
        "write it as verdict=module:function; the module must be importable",
    ],
    "the user's files have to change, and only he knows how": [
        "run the command recsec detect fit that made the folder again, into another",
        "delete that file: evidence begins anew",
        "it needs a column id; title, genres and year may follow",
        "its column id must hold the ids of the items",
        "write both in one way",
        "choose a data set about the same things",
        "copy both files",
        "give a longer log, or fit on replayed users: --data NAME",
        "name all guards in one file, in their order",
        "name the interpreter of an environment: python:VENV/bin/python:callable:...",
        "recsec traffic fit --help",
        "--columns id=..,category=..,image=..,title=..,attributes=color+season",
        "--columns url=COLUMN",
        "--out {}",
        "--sep ';'",
        "--time-format %Y%m%d, or --time-format s",
        "--time-format '%d/%m/%Y %H:%M'",
        "a category needs enough photos to hold some out",
        "a config.json of another checkpoint was put beside them",
        "an item is in no list of its own; choose other targets",
        "attack a larger catalog",
        "take a larger catalog",
        "convert it: iconv -f UTF-16LE -t UTF-8 {}",
        "convert the file: iconv -f LATIN1 -t UTF-8 {} > utf8.csv",
        "each column needs values of one type in all lines",
        "evaluate on the data that the encoder was trained on",
        "expected images/<id>.jpg and {}",
        "expected the folder of Category and Attribute Prediction: Anno, Eval and Img",
        "filter with min_length=3",
        "fit=letterbox or fit=squash, trim=true or trim=false",
        "it may have been skipped as a duplicate or a broken file",
        "load the photos anew",
        "loosen the filters",
        "name it labels.csv; it needs a column category, and id or image",
        "name one file, or a folder of Parquet files",
        "one of the three files is of another checkpoint, or broken",
        "repair or delete the line",
        "repair the file: one column has one order",
        "run the command again",
        "move that file away: the service then begins with empty state",
        "say how times are written: --time-format s, ms, us, ns or a pattern such as %d.%m.%y",
        "unpack Img/img.zip where it lies",
        "use data of at least {} users",
        "use the leave-one-out split, which needs order only",
    ],
    "needs the network, an archive, another program, other hardware, or a disk that is full": [
        "as in redis://localhost:6379/0",
        "copy its secret.key here, and name it in RECSEC_SECRET",
        "use the recsec that made it, or go back with that one: recsec monitor migrate",
        "is the database there, and may this user use it?",
        "a folder, or postgresql://USER@HOST/NAME",
        "start the service anew with them",
        "nothing is to be done: the account begins anew",
        "run the same command again, or with --processes 1 if memory was short",
        "the same command goes on where it stopped, if it has a --state",
        "--set size=... with the size that it was trained on, such as 224",
        "device = {}, and CUDA_VISIBLE_DEVICES to choose among several",
        "fetch the archive again, or pass another copy with --from PATH",
        "for an archive of a known set: recsec data get NAME --from PATH",
        "free some space or choose another --out; the same command continues",
        "it must be a network of images that transformers knows, with model.safetensors; the name and the revision must exist",  # noqa: E501
        "bring the files here and name their folder, hf:FOLDER, or try again with network",
        "make room there; the same command continues",
        "make room, or copy it yourself",
        "make room, or set RECSEC_CACHE to a folder on another disk",
        "make room, or set RECSEC_CACHE to another folder",
        "make room, then run the same command again: what was finished is kept",
        "name the revision (a commit or a tag), so that the weights stay the same",
        "pass the right archive with --from PATH",
        "pip install 'recsec[kafka]'",
        "pip install 'recsec[serve]'",
        "give --port another one; 0 takes any that is free",
        "give --state a folder that can be written",
        'pip install "recsec[faiss]"',
        'pip install "recsec[serve]"',
        'pip install "recsec[transformers]"',
        "recsec data get {} --from PATH ({})",
        "recsec data get {} --from {}",
        "recsec data get {}{}",
        "send the output somewhere else",
        "set RECSEC_CACHE to a folder that can be written",
        "try again, or fetch it elsewhere: recsec data get {} --from PATH",
        "try again; if it stays so, the file was changed on its way or at its source",
        "wait until it ends",
    ],
    "names the folder or the number that was meant, which only the user knows": [
        "recsec audit init FILE --model MODEL --data NAME",
        "recsec audit init --model DIR --data NAME",
        "recsec monitor explain ACCOUNT shows those about an account",
        "--data NAME",
        "--data NAME, as recsec data list has them, or the path of a table",
        "name the data",
        "use another --out, or delete that file",
        "name it: redis://HOST:6379/0?stream=NAME",
        "name the folder of a finished audit, or leave baseline out of the first run",
        "name the folder that holds your runs",
        "leave them out, or name MODEL",
        "name the folder that recsec serve --state has",
        "recsec serve MODEL, recsec serve --visual ENCODER --photos NAME, or recsec serve "
        "--upstream API",
        "ask for less: shorter lists, fewer users, a smaller model or batch",
        "an audit needs a catalog of at least {} items",
        "recsec audit PLAN --out DIR makes one",
        "recsec evaluate --guard misinform --unseen 1000 --people FILE writes it",
        "recsec traffic fit LOG --out law.json",
        "use a law measured on a log with lists: --law trivago",
        "ask for fewer pairs",
        "budgets compare at one size only; audit them in separate plans",
        "give at least 20",
        "give at least {} keys",
        "name the folder given to --out",
        "name the folder given to --out of recsec audit, extract or train",
        "name the folder of an audit",
        "name the folder that was given to --out",
        "recsec demo --out DIR",
        "repeat the command that made it; finished cells are not run again",
        "run the training again into another folder",
        "the file is damaged; run the command that made it into another folder",
        "train it again with a lower lr",
        "train it again with a lower lr, or repair its scores",
        "train one: recsec train sasrec --data synthetic --out DIR",
        "was it written by another version? repeat the command that made it",
        "write elsewhere: recsec report RUN --out DIR",
    ],
    "for who calls the library; the commands check before": [
        "one history is [[ID, ID, ...]]",
        "open its checkpoint folder",
        "pip install pandas",
        "recsec harden says it",
        "recsec.Query takes your own item ids",
        "send one event after the other; histories can't be set",
        "delete that file: accounts then begin anew, with empty histories",
        '--set surrogates=["DIR"], folders made by recsec train encoder',
        "check the weights of the checkpoint for NaN",
        "it knows cosine, demotion and query",
        "recsec list hardenings",
        "set leak, as in 0.01",
        "the weights of the encoder are broken, or the embeddings were not normalized",
        "use the cosine objective",
    ],
    "a defect of recsec": [
        "report this as a defect of recsec: {}:{}",
        "run the same command with --debug and report what it prints",
        "run with --debug for details",
    ],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checkpoints, detectors, a log and a table that commands can open."""
    folder = tmp_path_factory.mktemp("world")
    places = {name: str(folder / name) for name in ("markov", "sasrec", "encoder", "detectors")}
    places |= {"log": str(folder / "log.parquet"), "csv": str(folder / "shop.csv")}
    rows = [f"u{user},i{(user + step) % 12},{step}" for user in range(30) for step in range(6)]
    Path(places["csv"]).write_text("\n".join(["customer_id,product_id,ordered_at", *rows]) + "\n")
    head = f"checkpoint='{places['markov']}'\n"
    guard = "[[guards]]\nname='misinform'"
    places |= {
        "nodata": shlex.quote(head + guard),
        "withdata": shlex.quote(f"{head}data='{DATA}'\n{guard}"),
    }
    places["nameless"] = shlex.quote(f"checkpoint='{places['markov']}'\n[[guards]]\nlength=3")
    for command in (
        f"train markov --data {DATA} --out {{markov}}",
        f"train sasrec --data {DATA} --out {{sasrec}} --set epochs=1 --set max_length=8",
        f"train encoder --data {PHOTOS} --out {{encoder}} {TINY}",
        f"{DETECT} --queries 5 --out {{detectors}}",
        f"data traffic {DATA} --model {{markov}} --out {{log}} --users 10",
    ):
        assert main([*shlex.split(command.format(**places)), "--quiet"]) == 0, command
    return places


def act(step: str, places: dict[str, str]) -> int:
    """Carry out one step; its exit code."""
    words = shlex.split(step.format(**places))
    path = Path(words[1]) if len(words) > 1 else Path()
    match words[0]:
        case "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(words[2])
        case "rm":
            path.unlink()
        case "rmdir":
            for one in sorted(path.rglob("*"), reverse=True):
                one.rmdir() if one.is_dir() else one.unlink()
        case "chmod":
            path.chmod(int(words[2], 8))
        case "flip":
            content = bytearray(path.read_bytes())
            content[-20] ^= 1
            path.write_bytes(content)
        case _:
            return main(words)
    return 0


def pattern(hint: str) -> str:
    """A hint as a regular expression, its blanks as they are printed."""
    return r"\s+".join(
        r".+?".join(re.escape(part) for part in word.split("{}")) for word in hint.split()
    )


@pytest.mark.parametrize("case", CASES, ids=[case.hint[:60] for case in CASES])
def test_the_hint_is_given_and_works(
    case: Case, world: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = world | {name: str(tmp_path / name) for name in ("new", "free", "plan", "guards")}
    for step in filter(None, case.before.split(" ; ")):
        assert act(step, places) == 0, step
    capsys.readouterr()
    assert act(case.wrong, places) not in (0, 1)
    told = capsys.readouterr().err
    assert re.search(rf"next:\s+{pattern(case.hint)}", told), told
    for step in case.then.split(" ; "):
        assert act(case.wrong if step == "again" else step, places) == 0, capsys.readouterr().err


def executed() -> Iterator[str]:
    """The hints that a test follows."""
    yield from (case.hint for case in CASES)
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.hint":
                yield ast.literal_eval(node.args[0])


def test_every_hint_is_followed_or_only_words() -> None:
    given, followed = hints.every_hint(), set(executed())
    words = {hint for some in WORDS.values() for hint in some}
    assert sorted(followed - set(given)) == [], "nobody gives these hints any more"
    assert sorted(words - set(given)) == [], "nobody gives these hints any more"
    assert sorted(words & followed) == [], "these are followed, so they are not only words"
    missing = {hint: given[hint] for hint in given if hint not in words | followed}
    assert missing == {}, "follow these hints in a test, or say why they are only words"
