"""Accuracy, macro F1 and time of salora beside its peers on the same rows: one JSON line for each data set, size, draw and side.

    python quality.py --data DATA --model MODEL --output lines.jsonl --sets yelp,sst2 --rows 16,400 --draws 0,1 --sides salora,embeddings,setfit

DATA holds glue/ (tab-separated files), yelp/ (sentiment.train.0 …, or train_first30k.0 …) and, for the sets amazon, tweets and origin, vader/:
the folder additional_resources/hutto_ICWSM_2014 of the package vaderSentiment. MODEL is a sentence encoder's folder.
Each side is a process of its own and uses its defaults. Train and test rows of a draw are disjoint; classes are balanced, except in mrpc, cola-all
and sst2-5000, which are GLUE's own train and dev rows. `seconds` and `processorSeconds` run from the start of the process, imports included.
With --watch, salora is evaluated on the test rows during training, and each evaluation is recorded with its time: time to a peer's score.

Sides: salora, embeddings and tfidf (logistic regression), setfit, trainer (every weight), peft (LoRA, both libraries' defaults),
peft-same (LoRA with salora's rank, rate, batch and matrices). The set alpaca, instructions for a decoder in MODEL with a chat template, has the sides salora,
trl and trl-same for one epoch, judged by the loss that `salora evaluate` computes.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
TEST_ROWS = 600
DECODER_LENGTH = 256


def lines(*path):
    with open(os.path.join(*path), encoding="utf-8-sig", errors="replace") as file:
        return [line.rstrip("\r\n") for line in file]


def tab_separated(file, columns, header):
    cells = [line.split("\t") for line in lines(file)[int(header) :]]
    return [[row[column] for column in columns] for row in cells if len(row) > max(columns)]


def by_class(rows):
    classes = {}
    for text, label in rows:
        classes.setdefault(label, []).append(text.strip())
    return classes


def vader(data, name):
    rows = tab_separated(os.path.join(data, "vader", f"{name}_GroundTruth.txt"), [2, 1], False)
    return [(text.strip(), float(score)) for text, score in rows]


def polar(rows):
    return {"negative": [text for text, score in rows if score < -0.5], "positive": [text for text, score in rows if score > 0.5]}


def yelp(data):
    folder = os.path.join(data, "yelp")
    name = "sentiment.train" if os.path.exists(os.path.join(folder, "sentiment.train.0")) else "train_first30k"
    return {label: [line.strip() for line in lines(folder, f"{name}.{i}")] for i, label in enumerate(["negative", "positive"])}


def sst2(data):
    rows = tab_separated(os.path.join(data, "glue", "SST-2", "train.tsv"), [0, 1], True)
    return by_class((text, ["negative", "positive"][int(label)]) for text, label in rows if len(text.split()) >= 4)


def cola(data):
    rows = tab_separated(os.path.join(data, "glue", "CoLA", "train.tsv"), [3, 1], False)
    return by_class((text, ["wrong", "right"][int(label)]) for text, label in rows)


def origin(data):
    files = {"movie": "movieReviewSnippets", "shop": "amazonReviewSnippets", "news": "nytEditorialSnippets", "tweet": "tweets"}
    return {label: [text for text, _ in vader(data, name)] for label, name in files.items()}


BALANCED = {
    "yelp": yelp,
    "sst2": sst2,
    "cola": cola,
    "amazon": lambda data: polar(vader(data, "amazonReviewSnippets")),
    "tweets": lambda data: polar(vader(data, "tweets")),
    "origin": origin,
}
# folder, columns (text, second text or none, label), a header or none, rows or all
GLUE = {"mrpc": ("MRPC", [3, 4, 0], True, None), "cola-all": ("CoLA", [3, 1], False, None), "sst2-5000": ("SST-2", [0, 1], True, 5000)}


def draw_rows(data, name, rows, draw):
    """Training and test rows, each a text, perhaps a second text, and a label; `rows` counts all training rows of a balanced set. None: there are too few."""
    shuffle = random.Random(f"{name} {draw}").shuffle
    if name == "alpaca":
        with open(os.path.join(data, "alpaca", "random_9k.json")) as file:
            train = json.load(file)
        shuffle(train)
        return train[:1000], train[1000:1100]
    if name in GLUE:
        folder, columns, header, most = GLUE[name]
        train, test = (tab_separated(os.path.join(data, "glue", folder, f"{part}.tsv"), columns, header) for part in ("train", "dev"))
        shuffle(train)
        return train[:most], test
    train, test = [], []
    classes = BALANCED[name](data)
    for label in sorted(classes):
        texts = sorted(set(classes[label]))
        shuffle(texts)
        held_out, each = TEST_ROWS // len(classes), rows // len(classes)
        if len(texts) < held_out + each:
            return None
        test += [[text, label] for text in texts[:held_out]]
        train += [[text, label] for text in texts[held_out : held_out + each]]
    shuffle(train)
    shuffle(test)
    return train, test


def write_rows(file, rows):
    with open(file, "w", newline="") as output:
        if isinstance(rows[0], dict):
            json.dump(rows, output)
            return
        csv.writer(output).writerows([["text", "second", "label"] if len(rows[0]) == 3 else ["text", "label"], *rows])


def read_rows(file):
    with open(file, newline="") as source:
        return list(csv.DictReader(source)) if file.endswith(".csv") else json.load(source)


def embed(model, rows):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(model, device="cpu").encode([row["text"] for row in rows], normalize_embeddings=True)


def regression_side(features):
    from sklearn.linear_model import LogisticRegression

    def run(model, train, test, seed):
        known, unknown = features(model, train, test)
        return LogisticRegression(max_iter=1000).fit(known, [row["label"] for row in train]).predict(unknown)

    return run


def term_weights(model, train, test):
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer()
    known = vectorizer.fit_transform(row["text"] for row in train)
    return known, vectorizer.transform(row["text"] for row in test)


def setfit_side(model, train, test, seed):
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    labels = sorted({row["label"] for row in train})
    as_dataset = lambda rows: Dataset.from_list([{"text": row["text"], "label": labels.index(row["label"])} for row in rows])
    trainer = Trainer(
        model=SetFitModel.from_pretrained(model, device="cpu"),
        args=TrainingArguments(output_dir=os.path.join(os.getcwd(), "setfit"), seed=seed, report_to="none"),
        train_dataset=as_dataset(train),
    )
    trainer.train()
    return [labels[int(answer)] for answer in trainer.model.predict([row["text"] for row in test], use_labels=False)]


def trainer_side(lora, **settings):
    def run(model, train, test, seed):
        import transformers

        transformers.set_seed(seed)
        labels = sorted({row["label"] for row in train})
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        network = transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(labels))
        if lora is not None:
            import peft

            network = peft.get_peft_model(network, peft.LoraConfig(task_type="SEQ_CLS", **lora))
        encode = lambda rows: [
            {**tokenizer(row["text"], row.get("second"), truncation=True, max_length=128), "labels": labels.index(row["label"])} for row in rows
        ]
        trainer = transformers.Trainer(
            model=network,
            args=transformers.TrainingArguments(output_dir="trainer", seed=seed, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, **settings),
            train_dataset=encode(train),
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        )
        trainer.train()
        return [labels[answer] for answer in trainer.predict(encode(test)).predictions.argmax(1)]

    return run


def trl_side(lora, **settings):
    def run(model, train, test, seed):
        import torch
        from datasets import Dataset
        from peft import LoraConfig
        from trl import SFTConfig, SFTTrainer

        message = lambda role, content: [{"role": role, "content": content}]
        asked = lambda row: "\n\n".join(filter(None, [row["instruction"], row["input"]]))
        rows = [{"prompt": message("user", asked(row)), "completion": message("assistant", row["output"])} for row in train]
        fixed = {"num_train_epochs": 1, "max_length": DECODER_LENGTH, "seed": seed, "report_to": [], "save_strategy": "no", "use_cpu": True, "bf16": False}
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(output_dir="trl", disable_tqdm=True, model_init_kwargs={"dtype": torch.float32}, **fixed, **settings),
            train_dataset=Dataset.from_list(rows),
            peft_config=LoraConfig(task_type="CAUSAL_LM", **lora),
        )
        trainer.train()
        trainer.save_model("adapter")

    return run


# the labels that each predicts for the test rows
PEERS = {
    "embeddings": lambda: regression_side(lambda model, train, test: (embed(model, train), embed(model, test))),
    "tfidf": lambda: regression_side(term_weights),
    "setfit": lambda: setfit_side,
    "trainer": lambda: trainer_side(None),
    "peft": lambda: trainer_side({}),
    "peft-same": lambda: trainer_side(
        {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}, learning_rate=1e-3, per_device_train_batch_size=16, warmup_steps=0.06
    ),
    "trl": lambda: trl_side({}),
    "trl-same": lambda: trl_side(
        {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"},
        **{"learning_rate": 1e-3, "gradient_accumulation_steps": 4, "warmup_steps": 0.06, "gradient_checkpointing": False},
    ),
}


def processor_seconds(process):
    """Of a process that runs, as user and as system."""
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pick_scores(scores):
    return {name: scores[name] for name in ("accuracy", "macroF1", "loss") if name in scores}


def run_process(command, folder, threads, watched):
    """Output, wall and processor seconds, peak memory in bytes, and the seconds at which each line of `watched` that holds an evaluation came."""
    began, evaluations, read = time.time(), [], 0
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with open(os.path.join(folder, "output"), "w+") as output, open(os.path.join(folder, "errors"), "w+") as errors:
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=errors, env=environment)
        while True:
            ended, status, usage = os.wait4(child.pid, os.WNOHANG if watched else 0)
            if watched and os.path.exists(watched):
                written = lines(watched)
                at = None if ended else (round(time.time() - began, 1), round(processor_seconds(child.pid), 1))
                at = at or (round(time.time() - began, 1), round(usage.ru_utime + usage.ru_stime, 1))
                for line in written[read:]:
                    if '"kind":"evaluation"' in line and line.endswith("}"):
                        evaluations.append({"step": json.loads(line)["step"], **pick_scores(json.loads(line)["scores"]), "seconds": at[0], "processorSeconds": at[1]})
                read = len(written)
            if ended:
                break
            time.sleep(0.1)
        output.seek(0)
        errors.seek(0)
        if status != 0:
            raise RuntimeError(errors.read()[-600:])
        times = {"seconds": round(time.time() - began, 1), "processorSeconds": round(usage.ru_utime + usage.ru_stime, 1), "peakMemory": usage.ru_maxrss * 1024}
        return output.read(), times, evaluations


def run_side(side, folder, options, seed, is_pair, is_text):
    instructions = ["--task", "alpaca", "--max-length", str(DECODER_LENGTH)]
    if side not in PEERS:
        run = os.path.join(folder, "run")
        given = ["--model", options.model, "--output", run]
        if is_text:
            given += [*instructions, "--data", "train.json", "--eval-data", "test.json", "--epochs", "1", "--eval-steps", "8"]
        else:
            given += ["--task", "train.csv", "--eval-data" if options.watch else "--test-data", "test.csv"]
        pair = ["--text-pair", "second"] if is_pair else []
        command = [*options.salora.split(), "train", *given, *pair, "--seed", str(seed), "--device", "cpu", "--quiet"]
        extra = side.split(" ")[1:]
        _, times, evaluations = run_process(
            [*command, "--threads", str(options.threads), *extra], folder, options.threads, os.path.join(run, "metrics.jsonl") if options.watch else None
        )
        with open(os.path.join(run, "result.json")) as file:
            result = json.load(file)
        scores = (result["best"] if options.watch else result["test"])["scores"]
        return {**pick_scores(scores), "steps": result["stepsDone"], **times, **({"evaluations": evaluations} if options.watch else {})}
    command = [sys.executable, os.path.abspath(__file__), "--side", side, "--model", options.model, "--seed", str(seed), "--threads", str(options.threads)]
    output, times, _ = run_process(command, folder, options.threads, None)
    if is_text:
        judge = ["evaluate", "--model", options.model, "--adapter", "adapter", *instructions, "--eval-data", "test.json", "--json", "--device", "cpu", "--quiet"]
        judged, _, _ = run_process([*options.salora.split(), *judge], folder, options.threads, None)
        return {"loss": json.loads(judged)["scores"]["loss"], **times}
    return {**json.loads(output.strip().split("\n")[-1]), **times}


def main():
    parser = argparse.ArgumentParser()
    for name in ("data", "model", "output", "sets", "sides", "side"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--rows", default="0")
    parser.add_argument("--draws", default="0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--salora", default="npx salora")
    options = parser.parse_args()
    if options.side:
        import torch

        torch.set_num_threads(options.threads)
        from sklearn.metrics import accuracy_score, f1_score

        if os.path.exists("train.json"):
            PEERS[options.side]()(options.model, read_rows("train.json"), None, options.seed)
            return
        test = read_rows("test.csv")
        labels, answers = [row["label"] for row in test], PEERS[options.side]()(options.model, read_rows("train.csv"), test, options.seed)
        print(json.dumps({"accuracy": round(accuracy_score(labels, answers), 4), "macroF1": round(f1_score(labels, answers, average="macro"), 4)}))
        return
    key = lambda case: (case["set"], case["rows"], case["draw"], case["side"])
    done = {key(json.loads(line)) for line in lines(options.output)} if os.path.exists(options.output) else set()
    for draw in map(int, options.draws.split(",")):
        for name in options.sets.split(","):
            for rows in map(int, options.rows.split(",")):
                drawn = draw_rows(options.data, name, rows, draw)
                if drawn is None:
                    continue
                for side in options.sides.split(","):
                    case = {"set": name, "rows": len(drawn[0]), "draw": draw, "side": side}
                    if key(case) in done:
                        continue
                    folder = os.path.abspath(f"{options.output}.work")
                    shutil.rmtree(folder, ignore_errors=True)
                    os.makedirs(folder)
                    is_text = name == "alpaca"
                    for part, chosen in zip(("train", "test"), drawn):
                        write_rows(os.path.join(folder, f"{part}.{'json' if is_text else 'csv'}"), chosen)
                    try:
                        case |= run_side(side, folder, options, draw, len(drawn[0][0]) == 3 and not is_text, is_text)
                    except RuntimeError as error:
                        print(f"{case}: {error}", file=sys.stderr)
                        continue
                    with open(options.output, "a") as output:
                        output.write(json.dumps(case) + "\n")


main()
