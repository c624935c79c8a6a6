"""How Hugging Face's tokenizers cut texts at each character of Unicode 14, and what their normalizers make of it."""
import json
import sys
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import normalizers, pre_tokenizers

sys.dont_write_bytecode = True

CUTS = {
    'BertPreTokenizer': pre_tokenizers.BertPreTokenizer(),
    'ByteLevel': pre_tokenizers.ByteLevel(add_prefix_space=False),
    'Digits': pre_tokenizers.Digits(individual_digits=False),
    'individual Digits': pre_tokenizers.Digits(individual_digits=True),
    'Whitespace': pre_tokenizers.Whitespace(),
    'WhitespaceSplit': pre_tokenizers.WhitespaceSplit(),
}
NORMALIZERS = {'Strip': normalizers.Strip(), 'BertNormalizer': normalizers.BertNormalizer(clean_text=False, lowercase=False)}
# Its table of punctuation is older than Unicode 14: characters that are new since Unicode 3.2, or became punctuation or ceased to be it, are left out.
OLDER = {'BertPreTokenizer'}
# Each letter is lowercased alone.
WORDS = ['ΟΔΟΣ', 'ΣΑΣ Σ', 'Σας', 'ΑΣ.Σ', 'İI']


def assigned():
    surrogates, private = range(0xD800, 0xE000), range(0xE000, 0xF900)
    return [code for code in range(1, 0xF0000)
            if code not in surrogates and code not in private and unicodedata.category(chr(code)) != 'Cn']


def old(code):
    now, then = unicodedata.category(chr(code)), unicodedata.ucd_3_2_0.category(chr(code))
    return then != 'Cn' and (now[0] == 'P') == (then[0] == 'P')


def cut(name, code):
    if name in OLDER and not old(code):
        return None
    text = f'a{chr(code)}b {chr(code)}1'
    return '|'.join(text[start:end] for _, (start, end) in CUTS[name].pre_tokenize_str(text)).replace(chr(code), '·')


def normalized(part, code):
    return part.normalize_str(f'{chr(code)}a{chr(code)}b {chr(code)}').replace(chr(code), '·')


def shapes(codes, shape):
    """Ranges of characters by what becomes of them, if it is known. A range may pass over characters that are not among `codes`."""
    found, last = {}, None
    for code in codes:
        now = shape(code)
        if now != last:
            found.setdefault(now, []).append([code, code])
        found[now][-1][1] = code
        last = now
    found.pop(None, None)
    return found


def ranges(codes):
    found = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def main():
    codes = [code for code in assigned() if chr(code) not in 'ab1 |·']  # those of a shape
    cuts = {name: shapes(codes, lambda code: cut(name, code)) for name in CUTS}
    made = {name: shapes(codes, lambda code: normalized(part, code)) for name, part in NORMALIZERS.items()}
    small = {word: [normalizers.Lowercase().normalize_str(word), normalizers.BertNormalizer().normalize_str(word)] for word in WORDS}
    file = Path(__file__).parent / 'fixtures' / 'characters.json'
    file.write_text(json.dumps({'version': tokenizers.__version__, 'unicode': unicodedata.unidata_version, 'characters': ranges(codes), 'cuts': cuts,
                                'normalized': made, 'lowercase': small}, ensure_ascii=True) + '\n')


main()
