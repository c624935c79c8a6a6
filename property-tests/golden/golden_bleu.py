"""BLEU of made-up corpora by sacrebleu, words of made-up lines by NLTK's word_tokenize, and digests of NLTK's words of real lines, whose texts stay where they are.

Needs, from PyPI: sacrebleu 2.6, nltk 3.9 (3.10 cuts quoted letters otherwise)."""
import hashlib
import json
import random
from pathlib import Path

import nltk
import sacrebleu
from nltk.tokenize import word_tokenize
from sacrebleu.metrics import BLEU

# Each line is there for a rule: quotes that open and close, clitics, contractions, the last period, numbers, runs of marks, brackets, dashes, blanks of Python and of no one else.
LINES = [
    '', ' ', '.', '..', '. .', "'", '"', '``', "''", '-', '--', '---', '----', '...', '....', ' . ', '."', '.\'"', 'a', 'A.', 'One. Two. Three.', 'no final mark', 'ends in a blank. ', 'ends in a tab.\t', 'a.b', 'a..', 'a. .',
    '"Quoted," she said.', 'She said "quoted".', 'She said, "It is (really) \'so\'."', '("nested" [or "so"] {"here"} <"there">)', "''old quotes''", "a ''b'' c", '``sed style\'\' too', '`one` ``two`` ```three```', 'tab\t"before" a quote', 'end "', '" begin',
    '“curly” and ‘single’ quotes', '«guillemets» „low“ ones', 'He said “no.”', 'It’s ‘fine’.', "don't won't can't DON'T Don'T", "it's IT'S It'S he's I'm I'M you'd YOU'D we'll WE'LL We'Ll they're THEY'RE I've I'VE I'Ve", "dogs' tails, James's and Jones' car", "o'clock rock'n'roll y'all ma'am",
    "'tis 'Twas so 'TIS 'twas", "x 'tis'twas y", "'tisn't", "the 'a' and 'b', not 's' or 't'", "'m 'd 're 've 'll", "'90s in '99", "'x", "'x y'", "a 'x'y b", "quote'?", "quote's' end", "quote's'", "a's'*", "rock ' roll", "''' '''' '",
    'cannot Cannot CANNOT cannots scannot can not', "d'ye see? D'Ye D'YE", 'gimme Gimme gimmes', 'gonna GONNA gonnas', 'gotta lemme Lemme', "more'n more'nd", 'wanna go, wanna', 'I wanna', 'wannabe wanna!', 'gımme gİmme', "'tıs 'tİs 'tiſ", 'whaddya whatcha',
    'price: $3.88, 1,000,000 (1.5%)', 'at 10:30, 5:x and x:5', 'a,b a, b ,c ,, :, ,: ::', 'x,', 'x:', ',', ':', 'x,\n', 'x:,\n', 'tail,:', '١,٢ ٣:٤ ²,³', 'a;b;c @home #tag 50% R&D AT&T; fish&chips', 'what?! no!! yes?yes', 'a*b **bold** f(x)[0]{k}<v>', 'www.example.com/a?b=c&d=e', 'user@example.com',
    'U.S. is Mr. Smith Jr.', 'the U.S.', 'etc.)', 'etc.) ', 'end.]', 'end.}', 'end.>', 'end.»', 'end.”', 'end.’', 'end.\u201c', 'end. ) "', 'end.\t)', 'end..)', 'wait... what', 'wait...', '... and', 'a....b', 'well--maybe', 'a---b', 'en–dash em—dash', 'minus -5 - 5-6', 'x/y \\ z | ~ ^ + =',
    'caf\u00e9 cafe\u0301 na\u00efve', '日本語 、。', '😀 smile.😀', "😀's 😀'", 'Ж Жизнь', 'non\u00a0breaking\u2003em\u3000ideographic', 'line\u2028separator\x85next', 'file\x1cgroup\x1drecord\x1eunit\x1f', 'zero\u200bwidth\ufeffmark', 'a\r\nb\vc\fd', '\ufeff"bom"', "'\u00e9' '\u65e5'", "'1 '_ '²", '€5 £3 ¥7 …', '<skipped> &quot;x&quot; &amp;amp; &lt;', '_num_ __NUM $ _num_ .',
]
MARKS = [
    "'", '"', "''", '``', '`', '.', '..', '...', ',', ':', ';', '?', '!', '*', '-', '--', '(', ')', '[', ']', '{', '}', '<', '>', '&', '#', '@', '$', '%', '«', '»', '“', '”', '‘', '’', '„', '–', ' ', '  ', '\t', '\x85', '\u3000', '\ufeff',
    'a', 's', 't', 'd', "n't", "N'T", "'s", "'S", "'ll", "'re", "'VE", "'m", 'cannot', 'gimme', 'gonna', "more'n", "d'ye", 'Wanna', "'tis", "'TWAS", '1', '3.8', '1,0', '٣', '²', 'é', '日', '😀', '_', 'Mr.', 'x',
]
WORDS = [
    'the', 'The', 'cat', 'cats', 'sat', 'on', 'a', 'mat', 'mat.', 'mat,', '.', ',', '"Yes"', "don't", "it's", '(or', 'so)', '3.14', '1,000', '5-6', 'a-b', '--', '...', '&quot;', '&amp;lt;', '<skipped>', 'ÉTÉ', 'été', 'Straße', 'ΣΑΣ', 'σας', 'İ', 'Жизнь',
    'жизнь', '日本', '日', '😀', '\u00a0', '\u3000', '\u200b', '\ufeff', '\x1c', 'e\u0301', 'U.S.', 'and/or', '$5', '50%', '_num_', "''", '``',
]
SMOOTHINGS = [('none', None), ('floor', None), ('floor', 0.01), ('add-k', None), ('add-k', 0.5), ('exp', None)]


def words(line):
    return word_tokenize(line, preserve_line=True)


def lines(draw):
    made = (''.join(draw.choice(MARKS) + ' ' * (draw.random() < 0.3) for _ in range(draw.randint(2, 12))) for _ in range(500))
    return [{'line': line, 'words': words(line)} for line in [*LINES, *made]]


def line(draw, vocabulary):
    length = draw.choice([0, 1, 1, 2, 3, 4, 5, 6, 8, 10])
    return draw.choice([' ', ' ', ' ', '  ']).join(draw.choice(vocabulary) for _ in range(length))


def edited(draw, text, vocabulary):
    """A line like `text`: as it is, some words others, or another."""
    if draw.random() < 0.15:
        return line(draw, vocabulary)
    keep = draw.choice([1, 0.9, 0.7])
    return ' '.join(word if draw.random() < keep else draw.choice(['', *vocabulary]) for word in text.split(' '))


def corpus(draw, number):
    vocabulary = draw.sample(WORDS, draw.choice([4, 8, 20, len(WORDS)]))
    first = [line(draw, vocabulary) for _ in range(draw.choice([1, 1, 2, 3, 5]))]
    references = [first, *([edited(draw, text, vocabulary) for text in first] for _ in range(draw.choice([0, 0, 1, 3])))]
    hypotheses = [edited(draw, draw.choice(texts), vocabulary) for texts in zip(*references)]
    smoothing, value = SMOOTHINGS[number % len(SMOOTHINGS)]
    tokenize = ['13a', 'none', 'words'][number // len(SMOOTHINGS) % 3]
    lowercase, effective = draw.random() < 0.4, draw.random() < 0.5
    # sacrebleu does not know NLTK's words: it is given them, lower-cased before, with blanks between
    bleu = BLEU(lowercase=lowercase and tokenize != 'words', force=True, tokenize='none' if tokenize == 'words' else tokenize,
                smooth_method=smoothing, smooth_value=value, effective_order=effective)
    made = (lambda text: ' '.join(words(text.lower() if lowercase else text))) if tokenize == 'words' else (lambda text: text)
    given = [made(text) for text in hypotheses], [[made(text) for text in texts] for texts in references]
    counts = [sum(column) for column in zip(*bleu._extract_corpus_statistics(*given))]  # add-k changes those of its score
    score = bleu.corpus_score(*given)
    return {
        'settings': {'tokenize': tokenize, 'lowercase': lowercase, 'smoothing': smoothing, **({} if value is None else {'smoothValue': value}), 'effectiveOrder': effective},
        'hypotheses': hypotheses, 'references': references,
        'expected': {'score': score.score, 'precisions': score.precisions, 'brevityPenalty': score.bp, 'counts': counts[2:6], 'totals': counts[6:],
                     'hypothesisLength': score.sys_len, 'referenceLength': score.ref_len},
    }


def sentences(draw):
    """sacrebleu.sentence_bleu with its defaults."""
    made = [(edited(draw, text, WORDS), [text, line(draw, WORDS)]) for text in (line(draw, WORDS) for _ in range(60))]
    return [{'hypothesis': hypothesis, 'references': references, 'score': sacrebleu.sentence_bleu(hypothesis, references).score} for hypothesis, references in made]


def digests(data):
    """One for each thousand lines, of the words of a line with blanks between."""
    found = {}
    for file in sorted([*data.glob('yelp/*.[01]'), *data.glob('corpora/*')]):
        texts = file.read_bytes().decode('utf-8').split('\n')[:5000]
        made = [' '.join(words(text)) + '\n' for text in texts]
        found[str(file.relative_to(data))] = [hashlib.sha256(''.join(made[at:at + 1000]).encode()).hexdigest()[:16] for at in range(0, len(made), 1000)]
    return found


def dump(rows):
    return '[\n' + ',\n'.join(json.dumps(row, ensure_ascii=True) for row in rows) + '\n]'


def write(file, data):
    draw = random.Random(13)
    parts = {
        'versions': json.dumps({'sacrebleu': sacrebleu.__version__, 'nltk': nltk.__version__}),
        'lines': dump(lines(draw)), 'corpora': dump(corpus(draw, number) for number in range(500)), 'sentences': dump(sentences(draw)),
        'digests': json.dumps(digests(data), indent=1),
    }
    file.write_text('{\n' + ',\n'.join(f'"{name}": {text}' for name, text in parts.items()) + '\n}\n')
