"""Unigram tokenizers as XLM-RoBERTa, BGE and DeBERTa have them, with pieces of a few sentences, and their ids. Their table of characters is a small one of ours, which
SentencePiece compiles (PyPI: sentencepiece, protobuf)."""
import collections
import io
import json
import math
import tempfile
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from golden_tokenizers import SENTENCES

# One character or two for none, one or many; `e` with an accent is one grapheme of three bytes, and the table has `e` alone nowhere.
RULES = {
    'Ａ': 'A', 'ｂ': 'b', '１': '1', 'ﬁ': 'fi', '½': '1⁄2', '㌔': 'キロ', 'e\u0301': '\u00e9', 'E\u0301': '\u00c9', 'ｶ\uff9e': 'ガ', 'ｶ': 'カ', '\u3000': ' ', '\u00a0': ' ', '\u2009': ' ', '\t': ' ',
    '\n': ' ', '\r': ' ', '\r\n': ' ', '\u200b': '', '\u0001': '', '…': '...', '▁': ' ', '\u2126': '\u03a9', '🅰': 'A', 'ﷺ': 'صلى الله عليه وسلم', '\u0301': '', '👨': 'x',
}
MORE = [
    'cafe\u0301 CAFE\u0301 caf\u00e9', 'Ａｂ１ ﬁt ½ ㌔', 'ｶ\uff9eｶ ｶ', 'a\u3000b\u00a0c\u2009d', 'zero\u200bwidth \u0001control', 'a\r\nb\n\nc\t\td', '▁▁a▁b', '🅰 🙂', 'ﷺ', '\u0301e\u0301\u0301 x\u0301', '👨‍👩‍👧 👨',
    'हिन्दी में', 'ไทยไม่มีช่องว่าง', '한국어 \u1112\u1161\u11ab', '…wait… for it', '  two  spaces  ', 'the quick the quick the quick brown', 'unknown 日本 語 characters Ж Ж', '<mask> a <mask>b', 'a <mask>',
]
PREFIXED = dict(replacement='▁', prepend_scheme='always')
BLANKS = r'\s{2,}|[\n\r\t]'
KINDS = {
    'xlm-roberta': (lambda table: table, lambda: pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(**PREFIXED)])),
    'bge': (lambda table: normalizers.Sequence([table, normalizers.Replace(Regex(' {2,}'), ' ')]), lambda: pre_tokenizers.Metaspace(**PREFIXED)),
    'unsplit': (lambda table: table, lambda: pre_tokenizers.Metaspace(**PREFIXED, split=False)),
    'deberta-v2': (
        lambda table: normalizers.Sequence([normalizers.Replace(Regex(BLANKS), ' '), normalizers.NFC(), normalizers.Strip(left=False, right=True)]),
        lambda: pre_tokenizers.Sequence([pre_tokenizers.Metaspace(**PREFIXED)])),
    'deberta-v3': (
        lambda table: normalizers.Sequence([normalizers.Lowercase(), normalizers.Strip(), table, normalizers.Replace(Regex(' {2,}'), ' ')]),
        lambda: pre_tokenizers.Metaspace(**PREFIXED)),
}
SPECIALS = {'bge': ['<s>', '<pad>', '</s>', '<unk>'], 'deberta': ['[PAD]', '[CLS]', '[SEP]', '[UNK]']}


def characters():
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    made = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / 'rules.tsv'
        points = lambda text: ' '.join(f'{ord(letter):X}' for letter in text)
        rules.write_text(''.join(f'{points(source)}\t{points(target)}\n' for source, target in RULES.items()))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(['a few words to train on'] * 100), model_writer=made, vocab_size=20, hard_vocab_limit=False, normalization_rule_tsv=str(rules), minloglevel=2)
    return sentencepiece_model_pb2.ModelProto.FromString(made.getvalue()).normalizer_spec.precompiled_charsmap


def pieces(words):
    """Every part of a word that occurs twice, and every character, the likelier the more often and the longer. SentencePiece's own training is not the same at each run."""
    counts = collections.Counter(word[i:j] for word in words for i in range(len(word)) for j in range(i + 1, min(i + 6, len(word)) + 1))
    kept = sorted(piece for piece, count in counts.items() if count > 1 or len(piece) == 1)
    return [(piece, round(math.log(counts[piece] * len(piece) / 1000) - 1, 6)) for piece in kept]


def made(kind, table):
    normalizer, cut = KINDS[kind]
    specials = SPECIALS['deberta' if kind.startswith('deberta') else 'bge']
    normalizer, cut = normalizer(normalizers.Precompiled(table)), cut()
    # of half of the texts: the others have characters that it has not seen
    words = [word for text in [*SENTENCES[:8], *MORE[:8]] for word, _ in cut.pre_tokenize_str(normalizer.normalize_str(text))]
    tokenizer = Tokenizer(models.Unigram([*[(token, 0.0) for token in specials], *pieces(words)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cut
    tokenizer.add_special_tokens([AddedToken('<mask>', lstrip=True, normalized=False)])
    start, end = (specials[0], specials[2]) if specials[0] == '<s>' else (specials[1], specials[2])
    between = f'{end} {end}' if start == '<s>' else end
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{start} $A {end}', pair=f'{start} $A {between} $B {end}', special_tokens=[(token, specials.index(token)) for token in (start, end)])
    return tokenizer


def write(file):
    table, texts, found = characters(), [*SENTENCES, *MORE], {}
    for kind in KINDS:
        tokenizer = made(kind, table)
        found[kind] = {'tokenizer': json.loads(tokenizer.to_str()), 'ids': [tokenizer.encode(text).ids for text in texts],
                       'pairs': [tokenizer.encode(a, b).ids for a, b in zip(texts, texts[1:])]}
    file.write_text(json.dumps({'version': tokenizers.__version__, 'texts': texts, 'kinds': found}, ensure_ascii=True) + '\n')
