"""Tokenizers of decoders' kinds, trained on a few sentences, and their ids: Llama 2's (a prefix and replaced blanks, byte fall-back), the same by Metaspace, and
Llama 3's, Qwen2's, Mistral NeMo's and GPT-4o's (a word expression before bytes), GPT-2's (bytes within its own words), SmolLM's (the same behind a cut at digits),
and Gemma's (replaced blanks without a prefix, byte fall-back)."""
import json

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    'The quick brown fox jumps over the lazy dog, and then it sleeps.', 'In 2023 we sold 1,234,567 units for $9.99 each (up 12.5%).', "It's what they're doing; I'd say we'll see.",
    'A  text   with    many     blanks ', ' begins with one', 'ends\nwith\n\nlines\n', 'tabs\tand\r\nreturns', 'naïve café Größe ÅNGSTRÖM façade', '日本語の文章です。', 'Привет, мир!', 'emoji 🙂🚀 and 👩‍👩‍👧',
    'x', '', ' ', 'UPPER lower MiXeD', 'https://example.org/a?b=c&d=%20#e', 'snake_case camelCase kebab-case', '...!!!???---', 'a\u00a0b\u2009c', "don't DON'T I'VE we'Ve", '12345678901234567890', '<s> literal </s> tokens', '▁ underline ▁▁',
    'add ½ cup to 10 m², Ⅷ or ١٢٣', '\ufeffmark \ufeff here \x85next\x85line', 'ΟΔΟΣ ΣΑΣ', "HTTPServer iPhone ÉTATS e\u0301 I'LL/\n/we'll", '漢字 𠀀𪜀',
]
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r'[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]', r'[\p{Ll}\p{Lm}\p{Lo}\p{M}]'
CASES = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*%s|\p{{N}}%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
EXPRESSIONS = {'llama3': WORDS % '{1,3}', 'qwen2': WORDS % '', 'mistral-nemo': CASES % ('', '', ''), 'gpt-4o': CASES % (SHORT, SHORT, '{1,3}')}
# Kinds of SentencePiece, whose bytes are tokens of their own.
PIECES = ('llama2', 'metaspace', 'gemma')
SPECIALS = ['<unk>', '<s>', '</s>']

# What makes text of tokens again, as the families' own files have it.
LLAMA2 = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)])
DECODERS = {'llama2': LLAMA2, 'metaspace': LLAMA2, **{kind: decoders.ByteLevel() for kind in (*EXPRESSIONS, 'gpt2', 'smollm')},
            'gemma': decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse()])}


def bytes_of(text):
    return [f'<0x{value:02X}>' for value in range(256)] if text else []


def made(kind):
    tokenizer = Tokenizer(models.BPE(unk_token='<unk>', byte_fallback=True, fuse_unk=True) if kind in PIECES else models.BPE())
    initial = SPECIALS
    if kind == 'llama2':
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    elif kind == 'gemma':
        tokenizer.normalizer = normalizers.Replace(' ', '▁')
        tokenizer.pre_tokenizer = pre_tokenizers.Split(' ', 'merged_with_previous')  # finds none
    elif kind == 'metaspace':
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement='▁', prepend_scheme='first', split=False)
    elif kind == 'gpt2':
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    elif kind == 'smollm':
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        behavior, invert = ('removed', True) if kind == 'gpt-4o' else ('isolated', False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(EXPRESSIONS[kind]), behavior, invert), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet() if kind in (*EXPRESSIONS, 'gpt2', 'smollm') else []
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=initial + bytes_of(kind in PIECES), initial_alphabet=alphabet, show_progress=False)
    # of the first half: the others have characters that it has not seen
    tokenizer.train_from_iterator(SENTENCES[:8] * 3, trainer)
    if kind in (*PIECES, 'llama3', 'mistral-nemo'):
        tokenizer.post_processor = processors.TemplateProcessing(single='<s> $A', pair='<s> $A <s> $B', special_tokens=[('<s>', 1)])
    tokenizer.decoder = DECODERS[kind]
    state = json.loads(tokenizer.to_str())
    # only the three are special: the bytes are ordinary tokens
    state['added_tokens'] = [token for token in state['added_tokens'] if token['content'] in SPECIALS]
    return state


def write(file):
    found = {}
    for kind in ('llama2', 'metaspace', 'llama3', 'qwen2', 'gpt2', 'gemma', 'smollm', 'mistral-nemo', 'gpt-4o'):
        state = made(kind)
        tokenizer = Tokenizer.from_str(json.dumps(state))
        found[kind] = {'tokenizer': state, 'ids': [tokenizer.encode(text).ids for text in SENTENCES],
                       'decoded': [tokenizer.decode(tokenizer.encode(text).ids) for text in SENTENCES],
                       'halves': [tokenizer.decode(ids[len(ids) // 2:]) for ids in (tokenizer.encode(text).ids for text in SENTENCES)],
                       'pairs': [tokenizer.encode(a, b).ids for a, b in zip(SENTENCES, SENTENCES[1:])]}
    file.write_text(json.dumps({'version': tokenizers.__version__, 'texts': SENTENCES, 'kinds': found}, ensure_ascii=True) + '\n')
