"""Commands that fail with a hint, and the commands that follow it."""

from __future__ import annotations

from dataclasses import dataclass

DATA = "synthetic:users=90,items=40,length=9,seed=2"
OTHER = "synthetic:users=90,items=41,length=9,seed=3"
PHOTOS = "photos:items=60,categories=3,seed=2"
TINY = "--set size=16 --set widths=[8,16] --set epochs=1 --set batch_size=16 --device cpu"


@dataclass(frozen=True)
class Case:
    """A command that fails with a hint, and the command that follows it.

    ``then`` is a command, or ``again`` after a repair: ``rm PATH``, ``write PATH TEXT``, ``chmod
    PATH``, with `` ; `` between.
    """

    hint: str
    wrong: str
    then: str
    before: str = ""


RUN = f"extract --model {{markov}} --data {DATA} --calls 60 --set length=6 --twins 0 --out {{new}}"
RUN += " --set surrogate_settings.epochs=1 --set surrogate_settings.max_length=6 --device cpu"
EVADE = f"evade --model {{encoder}} --data {PHOTOS} --device cpu --out {{new}} "
TRAIN = f"train markov --data {DATA} --out {{new}}"
DETECT = f"detect fit --model {{markov}} --data {DATA} --detector transition"

CASES = [
    Case("--log honest.parquet, or --data ml-1m",
         "detect fit --model callable:shop:answer --out {new}",
         f"{DETECT} --queries 5 --out {{new}}"),
    Case("recsec detect LOG --detectors DIR --json lists the accounts",
         "detect explain nobody {log} --detectors {detectors}",
         "detect {log} --detectors {detectors} --json"),
    Case("set leak, as in leak=0.01, or proxy, as in proxy=ml-100k", RUN + " --policy few-shot",
         RUN + " --policy few-shot --set leak=0.2"),
    Case("recsec list {}", f"train nonsense --data {DATA} --out {{new}}", "list models"),
    Case("recsec list guards prints names", f"evaluate --model {{plan}}.toml --data {DATA}",
         "list guards", before="write {plan}.toml {nameless}"),
    Case("{} --help", "train --no-such-option", "train --help"),
    Case("recsec audit init shows every key", "audit {plan} --out {new}", "audit init {free}",
         before="write {plan} nonsense=1"),
    Case("recsec audit init writes one", "audit {plan} --out {new}",
         "audit init {plan}"),
    Case("recsec audit PLAN --out DIR", "audit {plan} {free} --out {new}", "audit init {plan}"),
    Case("recsec audit {} --out DIR", "audit {plan}", "list models", before="write {plan} a=1"),
    Case("recsec audit init OTHER-FILE", "audit init {plan}", "audit init {free}",
         before="write {plan} x"),
    Case("recsec report RUN, or --schema", "report", "report --schema"),
    Case("repeat --model, or add --guard", f"compare --model {{markov}} --data {DATA}",
         f"compare --model {{markov}} --model {{markov}} --data {DATA}"),
    Case("add --guard misinform", f"evaluate --model {{markov}} --data {DATA} --unseen 40",
         f"evaluate --model {{markov}} --data {DATA} --unseen 40 --guard misinform"),
    Case("add --unseen 1000",
         f"evaluate --model {{markov}} --data {DATA} --guard misinform --people {{new}}.json",
         f"evaluate --model {{markov}} --data {DATA} --guard misinform --people {{new}}.json"
         " --unseen 40"),
    Case("leave human-like out", RUN + " --policy rank-law --adaptive human-like",
         RUN + " --policy rank-law"),
    Case("leave repeat out", RUN + " --adaptive doubt=0.05,repeat=2",
         RUN + " --adaptive doubt=0.05"),
    Case("ask for lists of at most {}", RUN + " --k 40", RUN + " --k 10"),
    Case("use another --out, or remove that folder", f"{DETECT} --queries 5 --out {{new}}",
         f"{DETECT} --queries 5 --out {{free}}", before="write {new}/notes.txt mine"),
    Case("choose another --out", f"train markov --data {DATA} --out {{plan}}", TRAIN,
         before="write {plan} x"),
    Case("choose a new folder for --out", TRAIN, f"train markov --data {DATA} --out {{free}}",
         before="write {new}/letter.txt dear"),
    Case("choose another --out, or delete the folder", TRAIN + " --seed 1",
         f"rmdir {{new}} ; {TRAIN} --seed 1", before=TRAIN),
    Case("recsec train MODEL --data NAME --out DIR makes one",
         f"evaluate --model {{new}} --data {DATA}", f"{TRAIN} ; again"),
    Case("--columns user=customer_id,item=product_id,time=ordered_at",
         "train markov --data {csv} --out {new} --columns user",
         "train markov --data {csv} --out {new} --columns user=customer_id,item=product_id,"
         "time=ordered_at"),
    Case("train bert4rec, meanpool, narm or sasrec",
         f"harden --method gro --model {{markov}} --data {DATA} --out {{new}}",
         f"train sasrec --data {DATA} --out {{new}} --set epochs=1 --set max_length=8"),
    Case("delete that file and run the command that made it again, or bring a whole copy",
         f"evaluate --model {{new}} --data {DATA}",
         f"rm {{new}}/model.safetensors ; {TRAIN} ; again",
         before=f"{TRAIN} ; flip {{new}}/model.safetensors"),
    Case("run the training command again, it continues",
         f"evaluate --model {{new}} --data {DATA}", f"{TRAIN} ; again",
         before=f"{TRAIN} ; rm {{new}}/model.safetensors"),
    Case("recsec similar --model {} --data NAME --item ID shows its neighbors",
         f"evaluate --model {{encoder}} --data {DATA}",
         f"similar --model {{encoder}} --data {PHOTOS} --item 10001 --out {{new}}.png"),
    Case("recsec train encoder --data fashion --out DIR makes one",
         f"similar --model {{markov}} --data {PHOTOS} --item 10001 --out {{new}}.png",
         f"train encoder --data {PHOTOS} --out {{free}} {TINY}"),
    Case("recsec train encoder --data {} --out {}", f"train markov --data {PHOTOS} --out {{new}}",
         f"train encoder --data {PHOTOS} --out {{new}} {TINY}"),
    Case("--data fashion, --data photos:items=600,categories=12 or a folder of images",
         f"similar --model {{encoder}} --data {DATA} --item 10001 --out {{new}}.png",
         f"similar --model {{encoder}} --data {PHOTOS} --item 10001 --out {{new}}.png"),
    Case("recsec data list", "data analyze nonsense", "data list"),
    Case("settings are {}", "data analyze synthetic:wheels=3", "data analyze synthetic:users=50"),
    Case("recsec data list names the known sets", "data analyze {new}.csv", "data list"),
    Case("as in epochs=10", TRAIN + " --set reach", TRAIN + " --set reach=2"),
    Case("leave one of them out", TRAIN + " --set reach=2 --set reach=3", TRAIN + " --set reach=2"),
    Case("lower lr, --set lr=...",
         f"train sasrec --data {DATA} --out {{new}} --set lr=1e30 --set warmup=0.0 --set epochs=4"
         " --set max_length=8",
         f"train sasrec --data {DATA} --out {{new}} --set lr=1e-3 --set epochs=1"
         " --set max_length=8"),
    Case("recsec detect fit --model DIR --data NAME --out DETECTORS makes one",
         "detect {log} --detectors {new}", f"{DETECT} --queries 5 --out {{new}} ; again"),
    Case("delete that file and run the command recsec detect fit that made it again",
         "detect {log} --detectors {new}",
         f"rm {{new}}/detectors.safetensors ; {DETECT} --queries 5 --out {{new}} ; again",
         before=f"{DETECT} --queries 5 --out {{new}} ; flip {{new}}/detectors.safetensors"),
    Case("recsec train MODEL --data NAME --out DIR --snapshots 5",
         f"detect fit --model {{sasrec}} --data {DATA} --detector hoda --queries 5 --out {{new}}",
         f"train sasrec --data {DATA} --out {{free}} --snapshots 5 --set epochs=5"
         " --set max_length=8 ; "
         f"detect fit --model {{free}} --data {DATA} --detector hoda --queries 5 --out {{new}}"),
    Case("recsec data traffic writes one; so does every attack, under transcript/",
         "detect {new} --detectors {detectors}",
         f"data traffic {DATA} --model {{markov}} --out {{new}} --users 10 ; again"),
    Case("use the folder of detectors with which it was written, or another --state",
         "detect {log} --detectors {detectors} --state {plan}",
         "detect {log} --detectors {detectors} --state {free}",
         before=f"detect fit --model {{markov}} --data {DATA} --detector seat --queries 5"
         " --out {new} ; detect {log} --detectors {new} --state {plan}"),
    Case("recsec verify keygen --out KEY makes a key",
         f"compare --model {{markov}} --data {DATA} --guard watermark:key={{new}}",
         "verify keygen --out {new} ; again"),
    Case("chmod 600 {}, and draw a new key if somebody did",
         f"compare --model {{markov}} --data {DATA} --guard watermark:key={{new}}",
         "chmod {new} 600 ; again", before="verify keygen --out {new} ; chmod {new} 644"),
    Case("give --out another name, or move the old key to a safe place",
         "verify keygen --out {new}", "verify keygen --out {free}",
         before="verify keygen --out {new}"),
    Case("recsec verify --help", "verify", "verify --help"),
    Case("give --out another folder, or repeat the command that made this one",
         RUN + " --seed 1", RUN, before=RUN),
    Case("give --out another folder", RUN, RUN.replace("{new}", "{free}"),
         before=EVADE + "--attack fgsm --n 2 --eps 0.05"),
    Case("give --out a new or an empty folder", RUN, RUN.replace("{new}", "{free}"),
         before="write {new}/letter.txt dear"),
    Case("give --out another folder: without its description, what is in there cannot be used",
         RUN, RUN.replace("{new}", "{free}"), before=f"{RUN} ; write {{new}}/run.json nonsense"),
    Case("delete that file and run the same command again: only this is done again",
         EVADE + "--attack fgsm --n 4 --eps 0.05",
         "rm {new}/cells/part-0000.json ; again",
         before=EVADE + "--attack fgsm --n 4 --eps 0.05 ; flip {new}/cells/part-0000.json"),
    Case("--attack mi",
         EVADE + "--goal hub --attack square --set oracle=ids --n 4 --targets 4 --eps 0.05",
         EVADE + "--goal hub --attack mi-2 --n 4 --targets 4 --eps 0.05"),
    Case("--targets says whose lists are entered",
         EVADE + "--goal hub --pairs sampled --attack mi-2 --n 4", "list attacks"),
    Case("give both or neither", EVADE + "--item 10001 --attack fgsm --eps 0.05",
         EVADE + "--item 10001 --target-item 10030 --attack fgsm --eps 0.05"),
    Case("leave --item out for a sweep",
         EVADE + "--item 10001 --target-item 10030 --attack fgsm --eps 0.02 --eps 0.05",
         EVADE + "--attack fgsm --eps 0.02 --eps 0.05 --n 2"),
    Case("--device cpu", EVADE.replace("--device cpu", "--device evil") + "--attack fgsm --n 2",
         EVADE + "--attack fgsm --n 2 --eps 0.05"),
    Case("--goal lists, or --set oracle=scores",
         EVADE + "--goal cosine --attack square --n 2 --eps 0.05 --set oracle=ids",
         EVADE + "--goal cosine --attack square --n 2 --eps 0.05 --set oracle=scores"
         " --set queries=5"),
    Case("8 of 255 gray levels are --eps 0.0314", EVADE + "--attack fgsm --n 2 --eps 8",
         EVADE + "--attack fgsm --n 2 --eps 0.0314"),
    Case("settings: {}", RUN + " --set wheels=3", RUN),
    Case("with the permission of its owner, add --i-am-authorised",
         f"extract --model http://198.51.100.7/ --data {DATA} --calls 9 --out {{new}}",
         "list models"),
    Case("choose cross-entropy or hinge", RUN + " --set loss=listmle --adaptive set-only",
         RUN + " --set loss=hinge --adaptive set-only"),
    Case("leak more", RUN + " --policy few-shot --set leak=0.0001",
         RUN + " --policy few-shot --set leak=0.2"),
    Case("choose bert4rec, meanpool, narm or sasrec", RUN + " --surrogate markov",
         RUN + " --surrogate meanpool"),
    Case("recsec list policies and recsec list models print the settings there are",
         RUN + " --set policy_settings.wheels=3", "list policies"),
    Case("name the data set and filters that the checkpoint was trained with",
         RUN.replace(DATA, OTHER), RUN),
    Case("use the data set, and the filters, that it was trained on",
         f"evaluate --model {{markov}} --data {OTHER}",
         f"evaluate --model {{markov}} --data {DATA}"),
    Case("delete that file: the same command reads the log from its beginning",
         "detect {log} --detectors {detectors} --state {plan}", "rm {plan} ; again",
         before="detect {log} --detectors {detectors} --state {plan} ; flip {plan}"),
    Case("use the log that it was written for, or another --state",
         "detect {new} --detectors {detectors} --state {plan}",
         "detect {log} --detectors {detectors} --state {plan} ; "
         "detect {new} --detectors {detectors} --state {free}",
         before="detect {log} --detectors {detectors} --state {plan} ; "
         f"data traffic {DATA} --model {{sasrec}} --out {{new}} --users 10"),
    Case("device = cpu, or auto", f"train sasrec --data {DATA} --out {{new}} --device evil",
         f"train sasrec --data {DATA} --out {{new}} --device cpu --set epochs=1"
         " --set max_length=8"),
    Case("backbone=residual, backbone=resnet or backbone=hf:ORG/NAME@REVISION",
         f"train encoder --data {PHOTOS} --out {{new}} {TINY} --set backbone=nonsense",
         f"train encoder --data {PHOTOS} --out {{new}} {TINY} --set backbone=residual"),
    Case("--ingest jpeg:75", EVADE + "--attack fgsm --n 2 --eps 0.05 --ingest gif",
         EVADE + "--attack fgsm --n 2 --eps 0.05 --ingest jpeg:75"),
    Case("--attack {}", EVADE + "--attack noise-5 --n 2 --eps 0.05",
         EVADE + "--attack fgsm --n 2 --eps 0.05"),
    Case("the settings there are: {}", EVADE + "--attack mi-2 --n 2 --eps 0.05 --set wheels=3",
         EVADE + "--attack mi-2 --n 2 --eps 0.05"),
    Case("ask for fewer pairs, or choose another policy",
         EVADE + "--attack fgsm --n 99999 --eps 0.05", EVADE + "--attack fgsm --n 2 --eps 0.05"),
    Case("an item is in no neighbor list of its own; choose another target",
         EVADE + "--item 10001 --target-item 10001 --attack fgsm --eps 0.05",
         EVADE + "--item 10001 --target-item 10030 --attack fgsm --eps 0.05"),
    Case("--set 'surrogates=[\"DIR\"]', folders made by recsec train encoder",
         EVADE + "--attack transfer --n 2 --eps 0.05",
         EVADE + "--attack transfer --n 2 --eps 0.05 --set 'surrogates=[\"{encoder}\"]'"
         " --set steps=2"),
    Case("--pairs chooses pairs", EVADE + "--attack fgsm --n 2 --eps 0.05 --targets 4",
         EVADE + "--attack fgsm --n 2 --eps 0.05 --pairs same-category"),
    Case("ask for fewer --targets, at least 1, or fewer photos (--n)",
         EVADE + "--goal hub --attack mi-2 --n 4 --targets 9999 --eps 0.05",
         EVADE + "--goal hub --attack mi-2 --n 4 --targets 4 --eps 0.05"),
    Case("recsec data analyze {}", "data get synthetic:users=50",
         "data analyze synthetic:users=50"),
    Case("--columns user=..,item=..,time=..,rating=..",
         "train markov --data {csv} --out {new}",
         "train markov --data {csv} --out {new} --columns user=customer_id,item=product_id,"
         "time=ordered_at"),
    Case("put {} before {}",
         f"compare --model {{markov}} --data {DATA} --guard truncate:length=5 --guard misinform",
         f"compare --model {{markov}} --data {DATA} --guard misinform --guard truncate:length=5"),
    Case("name it: data = NAME in the target's file, or --data",
         f"evaluate --model {{plan}}.toml --data {DATA}", "write {plan}.toml {withdata} ; again",
         before="write {plan}.toml {nodata}"),
]  # fmt: skip
